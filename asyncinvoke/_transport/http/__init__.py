"""HTTP/1.1 exchanges over connections of our own; knows nothing of Lambda."""
