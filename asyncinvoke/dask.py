"""Maps on a Dask cluster: `map` runs the shards of an input on its workers."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Unpack

from asyncinvoke._dask.run import DaskProgress, DaskRun
from asyncinvoke._dask.starting import start
from asyncinvoke._engine.options import MapOptions
from asyncinvoke.errors import ConfigurationError

if TYPE_CHECKING:
    from distributed import Client
else:
    try:  # for what evaluates annotations, such as `typing.get_type_hints`
        from distributed import Client
    except ImportError:
        Client = Any

__all__ = ["DaskProgress", "DaskRun", "map"]


def map(  # noqa: A001  # named like `Invoker.map`
    client: Client,
    function_name: str,
    source: Any,
    *,
    directory: str | os.PathLike[str],
    shards: int | None = None,
    invoker: Mapping[str, Any] | None = None,
    **options: Unpack[MapOptions],
) -> DaskRun:
    """Invoke a function once for each item of an input, on the workers of a cluster.

    Calling this again with the same directory continues the run. If a worker dies, other workers
    continue its shards. Items that may have been running on it are recorded in the journal as
    `may_have_run`, and are not run again unless the map is `idempotent`.

    Args:
        client: A client of a cluster that has workers, with asyncinvoke installed on them.
        function_name: As for `Invoker.map`.
        source: A path or URL for `asyncinvoke.inputs.read`, an iterable that can be iterated more
            than once, or a function that returns the input. Each worker reads all of it.
        directory: The directory for the journals. It must be on a disk that all workers share and
            that outlives each of them, and must not be on a network file system.
        shards: The number of shards; by default three per worker.
        invoker: Arguments for the `Invoker` of each worker, such as `{"region_name": ...}`.
        **options: The options of `Invoker.map` except `journal` and `shard`. `concurrency` applies
            to all workers together, `tolerate` to each shard.

    Returns:
        The run, which has been started.

    Raises:
        ConfigurationError: distributed is not installed, the cluster has no workers, or a worker
            cannot see the directory.
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
