"""`asyncinvoke demo`: real input under real throttling, entirely on this machine."""
