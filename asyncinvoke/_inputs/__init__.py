"""Reading inputs: files, buckets and standard input as items with a position, a key and bytes."""
