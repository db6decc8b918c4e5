"""`asyncinvoke runs`: recorded runs looked at, steered, repeated and exported."""
