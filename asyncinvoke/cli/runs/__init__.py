"""`asyncinvoke runs`: inspecting, controlling, repeating and exporting recorded runs."""
