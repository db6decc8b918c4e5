"""Maps on a Dask cluster: `map` runs the shards of an input on its workers."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Unpack

from asyncinvoke._dask.run import DaskProgress, DaskRun, start
from asyncinvoke._engine.options import MapOptions
from asyncinvoke.errors import ConfigurationError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["DaskProgress", "DaskRun", "map"]


def map(  # noqa: A001  # the word for it
    client: "Client",
    function_name: str,
    source: Any,
    *,
    directory: str | os.PathLike[str],
    shards: int | None = None,
    invoker: Mapping[str, Any] | None = None,
    **options: Unpack[MapOptions],
) -> DaskRun:
    """Invoke a function once for each item of an input, on the workers of a cluster.

    The same call again, with the same directory, continues the run. A worker that dies has its
    shards continued by others; what it may have run is named in the journal, and not run again
    unless the map is `idempotent`.

    Args:
        client: Of a cluster with workers, on which asyncinvoke is installed.
        function_name: As for `Invoker.map`.
        source: A path or a URL for `asyncinvoke.inputs.read`, something that can be iterated again
            and again, or a function that returns the input; each worker reads all of it.
        directory: Where the journals are kept: on a disk that all workers share and that outlives
            each of them, and no network file system.
        shards: How many shards there are; by default three for each worker.
        invoker: What the invoker of each worker is made with, such as `{"region_name": ...}`.
        **options: Those of `Invoker.map` but `journal` and `shard`. `concurrency` is that of all
            workers together; a `tolerate` is that of each shard.

    Returns:
        The run, under way.

    Raises:
        ConfigurationError: distributed is not installed, the cluster has no workers, or a worker
            does not see the directory.
    """
    if find_spec("distributed") is None:
        raise ConfigurationError(
            "maps on a cluster need Dask distributed: pip install 'asyncinvoke[dask]'"
        )
    given: dict[str, Any] = dict(options)
    return start(
        client,
        function_name,
        source,
        directory=directory,
        shards=shards,
        concurrency=given.pop("concurrency", None),
        invoker=invoker,
        options=given,
    )
