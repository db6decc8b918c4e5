"""A map on a Dask cluster: a shard is a task, a worker has one invoker, and a directory remembers."""
