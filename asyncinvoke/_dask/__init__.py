"""A map on a Dask cluster: one task per shard, one invoker per worker, state in a directory."""
