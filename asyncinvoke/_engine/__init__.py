"""One execution, one map, one stream."""
