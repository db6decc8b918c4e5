"""The path of items through a recorded map: nothing is sent or yielded before it is recorded."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from anyio.abc import TaskGroup

from asyncinvoke._clock import Clock
from asyncinvoke._engine.batcher import Batcher
from asyncinvoke._engine.frames import hide_frames
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.pipeline import Pipeline
from asyncinvoke._engine.prepared import Prepared
from asyncinvoke._engine.recorded_work import RecordedWork
from asyncinvoke._engine.recording import MapCallbacks, Recorder
from asyncinvoke._engine.shard import ShardFilter
from asyncinvoke._engine.tolerance import StopCondition, invoker_was_left
from asyncinvoke._engine.waits import Brake
from asyncinvoke._model.failure import TransportFault
from asyncinvoke.errors import AsyncInvokeError, InvocationError, JournalError


class RecordedPipeline(Pipeline):
    """Passes items through the recorder twice: when they were read, and when they have ended.

    Args:
        payloads: The input.
        recorded: Prepares items, and executes them.
        recorder: Records them.
        concurrency: As for `Pipeline`.
        ordered: As for `Pipeline`.
        stop_condition: As for `Pipeline`.
        brake: As for `Pipeline`.
        clock: As for `Pipeline`.
        batcher: As for `Pipeline`.
        shard_filter: As for `Pipeline`.
    """

    def __init__(
        self,
        payloads: object,
        recorded: RecordedWork,
        recorder: Recorder,
        *,
        concurrency: int,
        ordered: bool,
        stop_condition: StopCondition | None,
        brake: Brake | None,
        clock: Clock,
        batcher: Batcher | None = None,
        shard_filter: ShardFilter | None = None,
    ) -> None:
        super().__init__(
            payloads,
            recorded,
            concurrency=concurrency,
            ordered=ordered,
            stop_condition=stop_condition,
            brake=brake,
            clock=clock,
            batcher=batcher,
            shard_filter=shard_filter,
            # Skipped items are not inspected, so it is unknown how many belong to the shard.
            skim=None if shard_filter is not None else self._skim,
        )
        self._accept = self._record
        self._payloads: object = payloads
        self._recorder = recorder
        self._recorded = recorded
        self._unrecorded: AsyncInvokeError | None = None
        self._is_closed = False

    # What the block calls.

    async def open(self) -> None:
        """Open the journal, and check that it belongs to this map."""
        payloads, self._payloads = self._payloads, None
        try:
            await self._recorder.open(payloads, self._prepare)
        except BaseException as error:
            hide_frames(error)
            raise
        finally:
            del payloads
        self._recorder.connect(
            MapCallbacks(
                work=self._work_on,
                hand_out=self._let_go,
                found=self._found,
                made=self._made,
                dropped=lambda index: self._put(index, None),
                failed=self._cannot_record,
                is_hungry=self.workers.is_hungry,
                is_idle=lambda: not self.buffer.unfinished,
                look_ahead=self._look_ahead,
            )
        )

    def _prepare(self, index: int, item: object) -> Prepared | None:
        if self._shard_filter is not None and not self._shard_filter(index, item):
            return None
        return self._recorded.prepare(index, item)

    def start(self, reading: TaskGroup, working: TaskGroup) -> None:
        """Start reading in one group; work and record in the other."""
        self._helpers.append(working.start_soon(self._recorder.write))
        super().start(reading, working)

    async def close(self) -> None:
        """Write the remaining records and close the journal, once all tasks have ended; shielded."""
        if self._is_closed:  # by another task that left the block
            return
        self._is_closed = True
        failed = await self._recorder.close()
        if failed is not None and self._error is None and not self._is_told:
            self._unrecorded = failed

    def forget(self) -> BaseException | None:
        """Return and drop an error that must still be raised, once all tasks have ended."""
        error = super().forget()
        unrecorded, self._unrecorded = self._unrecorded, None
        is_worse = error is not None and not isinstance(error, Exception)
        return error if unrecorded is None or is_worse else unrecorded

    # What the reader calls.

    async def _skim(self, items: Iterator[object]) -> Iterator[object]:
        return await self._recorder.skim(
            items,
            self._recorded.write,
            skipped=self._skipped,
            is_over=lambda: self.source.is_stopping,
        )

    def _skipped(self, count: int) -> None:
        self._position += count
        self.buffer.read += count
        self.buffer.taken += count
        self.tally.recorded += count

    def _record(self, index: int, item: object) -> None:
        if self._recorded.waits.is_closed:
            # Hundreds of items may already wait for the disk; do not add more until one fails.
            self._put(index, None)
            self._end(invoker_was_left())
            return
        self._recorder.read(self._recorded.prepare(index, item))

    def _all_read(self) -> BaseException | None:
        return self._recorder.all_read(self._position)

    # What the workers call.

    def _finished(self, index: int, outcome: Outcome[Any]) -> None:
        self.tally.add(outcome)
        self._check_stop(outcome)
        buffer = self.buffer
        buffer.unfinished -= 1
        buffer.held += 1
        self._recorder.ended(index, outcome)
        self._moved()

    # What the recorder calls.

    def _work_on(self, items: Iterable[Prepared]) -> None:
        for prepared in items:
            self._begin(prepared.index, prepared)

    def _let_go(self, outcomes: Collection[Outcome[Any]]) -> None:
        self.buffer.let_go(outcomes)
        self._moved()

    def _found(self, index: int, outcome: Outcome[Any] | None) -> None:
        self.tally.recorded += 1
        if outcome is None:
            self.buffer.taken += 1
        else:
            self.tally.replayed += 1
        self._put(index, outcome)

    def _made(self, index: int, outcome: Outcome[Any]) -> None:
        error = outcome.error
        if isinstance(error, InvocationError) and error.code == TransportFault.PROCESS_LOST:
            self.tally.lost += 1
        else:
            self.tally.add(outcome)
            self._check_stop(outcome)
        self._put(index, outcome)

    def _cannot_record(self, error: Exception) -> None:
        """Start no more items; calls in flight end, and their outcomes are yielded unrecorded."""
        dropped = self.workers.drop()
        for index in dropped if self._batcher is None else self._batcher.drop(dropped):
            self._put(index, None)
        if isinstance(error, JournalError) and isinstance(self._error, Exception):
            # More is wrong than what ended the run before: outcomes are yielded that are not recorded.
            error.__context__, self._error = self._error, None
        self._end(error)

    def _look_ahead(self, count: int) -> None:
        self.buffer.ahead = count
        self.buffer.size(self.buffer.concurrency)
        self._moved()
