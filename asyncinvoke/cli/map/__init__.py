"""`asyncinvoke map`: a bulk run from its options to its summary."""
