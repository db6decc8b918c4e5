"""`asyncinvoke map`: a bulk run from its options to its last word."""
