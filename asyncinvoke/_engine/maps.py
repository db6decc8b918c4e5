"""From the options of `map` to a run: its work, its batches, its shard and its recorder."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, cast

from asyncinvoke._batches.batch import Batch, checked_batch, shape_name
from asyncinvoke._engine.batch_work import BatchWork
from asyncinvoke._engine.batcher import Batcher
from asyncinvoke._engine.calls import Calls, refuse_unknown
from asyncinvoke._engine.execution import Engine
from asyncinvoke._engine.item import ItemWork
from asyncinvoke._engine.journal import Journal, read_journal
from asyncinvoke._engine.map import MapRun
from asyncinvoke._engine.map_block import open_run
from asyncinvoke._engine.options import InvokeOptions, MapOptions
from asyncinvoke._engine.payloads import is_keyed
from asyncinvoke._engine.recorded_work import RecordedWork
from asyncinvoke._engine.recording import Recorder
from asyncinvoke._engine.run_events import events_of_run
from asyncinvoke._engine.shard import Shard, ShardFilter, checked_shard
from asyncinvoke._engine.tolerance import checked_tolerance
from asyncinvoke._request.parameters import InvokeParameters, check_flag
from asyncinvoke._request.payload import Encode
from asyncinvoke._retries.policy import RetryPolicy
from asyncinvoke._transport.base import ClosingTransport


class Record(Protocol):
    """Creates the recorder of a map, not yet opened."""

    def __call__(
        self,
        journal: Journal,
        *,
        identity: Mapping[str, object],
        shared: InvokeParameters,
        keyed: bool,
        engine: Engine,
    ) -> Recorder:
        """Return a recorder for one map."""
        ...


class Maps:
    """Prepares the maps of a `Caller`.

    Args:
        calls: Validates options.
        encode: Converts a payload to bytes.
        record: Creates the recorder of a map with a journal.
    """

    def __init__(self, calls: Calls, encode: Encode, record: Record) -> None:
        self._calls = calls
        self._encode = encode
        self._record = record

    def open(
        self,
        engine: Engine,
        transport: ClosingTransport,
        function_name: str,
        payloads: object,
        options: MapOptions,
    ) -> AbstractAsyncContextManager[MapRun[Any]]:
        """Return a map over payloads, as a context manager.

        Raises:
            InvalidRequestError: An option, or the function's name, is invalid.
        """
        refuse_unknown(options, MapOptions)
        ordered = check_flag("ordered", options.get("ordered", False))
        batch, shard = checked_batch(options.get("batch")), checked_shard(options.get("shard"))
        journal, key = options.get("journal"), options.get("key")
        concurrency = options.get("concurrency")
        work = self._work_of(engine, transport, function_name, options)
        recorder = recorded = None
        if journal is not None:
            keyed = is_keyed(payloads, key)
            recorder = self._recorder_of(
                read_journal(journal), work, keyed=keyed, batch=batch, shard=shard
            )
            recorded = RecordedWork(work, recorder)
        return open_run(
            payloads,
            work if recorded is None else recorded,
            recorder=recorder,
            recorded=recorded,
            concurrency=engine.limiter.limit if concurrency is None else concurrency,
            ordered=ordered,
            stop_condition=work.stop_condition,
            brake=work.brake,
            describe=work.describe,
            clock=engine.clock,
            events=events_of_run(engine.hooks, function_name, ordered=ordered, clock=engine.clock),
            batcher=None
            if batch is None
            else Batcher(BatchWork(work, batch, recorded), clock=engine.clock),
            shard_filter=None if shard is None else ShardFilter(shard, work.name),
            check_loop=engine.waits.check_loop,
        )

    def _work_of(
        self,
        engine: Engine,
        transport: ClosingTransport,
        function_name: str,
        options: MapOptions,
    ) -> ItemWork:
        """Return the work of a map, with the options that apply to each of its invocations."""
        shared = {name: value for name, value in options.items() if name not in _OF_A_MAP}
        if shared.get("retry") is None:
            shared["retry"] = RetryPolicy.batch()
        return ItemWork(
            engine,
            transport,
            self._calls,
            function_name=function_name,
            options=cast("InvokeOptions", shared),
            key=options.get("key"),
            encode=self._encode,
            tolerance=checked_tolerance(options.get("tolerate")),
        )

    def _recorder_of(
        self,
        journal: Journal,
        work: ItemWork,
        *,
        keyed: bool,
        batch: Batch | None,
        shard: Shard | None,
    ) -> Recorder:
        """Return the recorder of a map; a run is continued only with the same identity."""
        parameters = work.call.parameters
        return self._record(
            journal,
            identity={
                **parameters.identity(),
                "key": keyed,
                **({} if batch is None else {"batch": shape_name(batch)}),
                **({} if shard is None else {"shard": str(shard)}),
            },
            shared=parameters,
            keyed=keyed,
            engine=work.engine,
        )


_OF_A_MAP = MapOptions.__optional_keys__ - InvokeOptions.__optional_keys__
"""The options of a map itself; the others are those of each invocation."""
