"""`asyncinvoke demo`: real input through real throttling, on this machine alone."""
