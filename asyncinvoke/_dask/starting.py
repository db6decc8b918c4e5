"""Starting a run on a cluster: checks the cluster, the directory and the options, then submits."""

import contextlib
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncinvoke._dask.plan import MERGED, Plan, checked_concurrency, shards_for, share
from asyncinvoke._dask.run import DaskRun, release
from asyncinvoke._dask.working import prepare
from asyncinvoke._engine.shard import Shard
from asyncinvoke._inputs.files import has_one_reader
from asyncinvoke._report.standing import has_changed_since_merge
from asyncinvoke.errors import AsyncInvokeError, ConfigurationError, JournalError
from asyncinvoke.runs import open_run


def start(
    client: Any,
    function_name: str,
    source: Any,
    *,
    directory: str | os.PathLike[str],
    shards: int | None,
    concurrency: int | None,
    invoker: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> DaskRun:
    """Check the cluster and the directory, and submit the shards.

    Raises:
        ConfigurationError: The cluster, the directory or an option cannot be used.
    """
    _check_client(client)
    _check_arguments(concurrency, invoker, options)
    if isinstance(source, str | os.PathLike) and has_one_reader(os.fspath(source)):
        raise ConfigurationError(
            f"source {source} must be a file that every worker can read, not a pipe or standard input"
        )
    _check_merged(Path(directory) / MERGED)
    threads = client.nthreads()
    if not threads:
        raise ConfigurationError("the cluster has no workers: start one, or wait_for_workers")
    count = shards_for(len(threads), shards)
    Shard(1, of=count)  # raises if the number is invalid
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be a directory: {error.strerror}") from None
    _check_shards(folder, count)
    slots = sum(threads.values())
    plan = Plan(
        id=uuid.uuid4().hex[:12],
        function_name=function_name,
        source=source,
        directory=str(folder.absolute()),
        shards=count,
        workers=min(len(threads), count),
        concurrency=share(concurrency, shards=count, slots=slots),
        invoker=dict(invoker or {}),
        options=dict(options),
    )
    try:
        plan.token.touch()
    except OSError as error:
        raise ConfigurationError(f"{folder}: it cannot be written: {error.strerror}") from None
    try:
        _prepare(client, plan)
        return DaskRun(client, plan, slots)
    except BaseException as error:
        release(client, plan)
        if isinstance(error, Exception) and not isinstance(error, AsyncInvokeError):
            _check_pickles(plan)
        raise


def _prepare(client: Any, plan: Plan) -> None:
    """Start the event loop and invoker of each worker.

    Raises:
        ConfigurationError: A worker does not see the directory.
    """
    ready = client.run(prepare, plan.id, str(plan.token), plan.invoker)
    blind = [worker for worker, sees in ready.items() if not sees]
    if blind:
        raise ConfigurationError(
            f"worker {blind[0]} does not see {plan.directory}: it must be a directory that all "
            "workers share and that outlives each of them, or nobody could tell what a worker "
            "that dies has run"
        )


def _check_pickles(plan: Plan) -> None:
    """Check that what workers get can be sent to them; Dask's own error does not say what cannot.

    Raises:
        ConfigurationError: It cannot be pickled.
    """
    from cloudpickle import dumps

    for name, value in {"source": plan.source, "invoker": plan.invoker, **plan.options}.items():
        try:
            dumps(value)
        except Exception as error:  # noqa: BLE001  # an object may raise anything
            cure = ": give a function that returns the input" if name == "source" else ""
            # Only pickle's own message is repeated: an object's may quote what it holds.
            message = f": {error}" if str(error).startswith("cannot pickle ") else ""
            raise ConfigurationError(
                f"{name} cannot be sent to workers, as it cannot be pickled "
                f"({type(error).__name__}{message}){cure}"
            ) from None


def _check_client(client: Any) -> None:
    if not hasattr(client, "nthreads"):
        raise ConfigurationError(
            f"client must be Dask's Client of a cluster, not {type(client).__name__}"
        )
    if client.asynchronous:
        raise ConfigurationError("the client must not be asynchronous: use Client(...) as it is")
    if client.status != "running":
        raise ConfigurationError(
            f"the client must be connected to a cluster, and is {client.status}"
        )


def _check_arguments(concurrency: object, invoker: object, options: Mapping[str, Any]) -> None:
    if concurrency is not None:
        checked_concurrency(concurrency)
    if not isinstance(invoker, Mapping | None):
        raise ConfigurationError(
            f"invoker must be the arguments of Invoker by name, not {type(invoker).__name__}"
        )
    for name in ("journal", "shard"):
        if name in options:
            raise ConfigurationError(f"{name} is not for a map on a cluster, which has its own")


def _check_shards(folder: Path, shards: int) -> None:
    for path in folder.glob("*of*.run"):
        of = path.name.removesuffix(".run").rpartition("of")[2]
        if of != str(shards):
            raise ConfigurationError(
                f"{folder}: it has a run of {of} shards: continue it with shards={of}"
            )


def _check_merged(merged: Path) -> None:
    """Check that the merged journal may be replaced by another merge of the shards."""
    with contextlib.suppress(JournalError), open_run(merged) as run:
        if has_changed_since_merge(run.summary()):
            raise ConfigurationError(
                f"{merged}: it has since run by itself, or was settled: continue it with "
                "Invoker.map and this journal"
            )
