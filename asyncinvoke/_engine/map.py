"""A map under way: its outcomes as they come, how it is steered, and how it ends."""

import logging
from collections.abc import Callable, Iterator, Sized
from typing import Any, Generic, Self, TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from asyncinvoke._clock import Clock
from asyncinvoke._engine.batcher import Batcher
from asyncinvoke._engine.buffer import Buffer
from asyncinvoke._engine.journal import check_note
from asyncinvoke._engine.outcome import Failed, MapStatistics, MapTally, Outcome, Succeeded
from asyncinvoke._engine.recording import Ends, Prepared, RecordedWork, Recorder
from asyncinvoke._engine.shard import Pick
from asyncinvoke._engine.source import Source
from asyncinvoke._engine.tasks import Bell, Work, Workers
from asyncinvoke._engine.tolerance import Judge, Tolerance, checked_tolerance
from asyncinvoke._engine.waits import Brake, NotStartedError
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._model.response import Out
from asyncinvoke.errors import (
    AsyncInvokeError,
    ConfigurationError,
    InvocationError,
    ToleranceExceededError,
)

LAST_WORD = 1.0
"""How long an end waits for an input that was interrupted and does not come back, in seconds. It
may have an item in its hands."""

Describe: TypeAlias = Callable[[], str | None]
"""Says what keeps the work back, if anything does."""

_logger = logging.getLogger("asyncinvoke")


class MapRun(Generic[Out]):
    """The outcomes of a map, as an async iterator; given by `async with invoker.map(...)`.

    Iterating gives one `Outcome` for each item that was read, however it fared. Several tasks may
    share a run: each outcome goes to one of them.

    Whatever ends a run ends it in the same way: nothing more is read, what was read gets its
    outcome (after `stop`, and where too much has failed, what is in flight does; an item without an
    outcome was not sent then), all outcomes are taken, and then iterating stops, or raises

    - what the input raised, as itself;
    - `ToleranceExceededError`, once more has failed than is tolerated, or after a hundred refusals
      in a row for one reason;
    - `JournalError`, if it can be recorded no longer, and `JournalMismatchError`, if its input turns
      out not to be that of the run;
    - `ConfigurationError`, if the invoker's block was left before the input had been read;
    - what the caller's own retry policy, hook or transport raised, as itself; the item that it was
      raised for has no outcome.

    If there are several, it is the first. Only what is no `Exception`, such as `KeyboardInterrupt`,
    is raised at once. After its block a run raises `ConfigurationError`, unless everything was
    taken within; and so it does, to who iterates shielded, once its block is cancelled.
    """

    # One path for every end. `_end` and `stop` only tell the source to stop. The reader then says
    # that reading has ended, as it does when the input has no more; and a run is over once reading
    # has ended and no item that was read is unfinished. Consumers look for that, and for nothing
    # else, whenever they find no outcome and whenever they are rung for. So the order is always:
    # the cause, the end of reading, the last outcome, the end that the consumer sees. An input that
    # was interrupted and does not come back cannot hold that up for longer than `LAST_WORD`.
    #
    # A caller who is cancelled is no end. Workers may meet the cancellation before the consumer
    # does, and their items stay unfinished; so the run cannot look complete meanwhile. But one who
    # iterates shielded never meets it, and must be told.

    def __init__(
        self,
        payloads: object,
        work: Work,
        *,
        concurrency: int,
        ordered: bool,
        judge: Judge | None,
        brake: Brake | None,
        describe: Describe | None,
        clock: Clock,
        batcher: Batcher | None = None,
        pick: Pick | None = None,
        recorder: Recorder | None = None,
        recorded: RecordedWork | None = None,
        check_loop: Callable[[], None] | None = None,
    ) -> None:
        self._recorder = recorder
        self._recorded = recorded
        self._payloads = None if recorder is None else payloads
        self._buffer = (
            Buffer(concurrency, ordered=ordered)
            if batcher is None
            else batcher.buffer(concurrency, ordered=ordered)
        )
        self._source = Source(
            payloads,
            wanted=self._buffer.may_read,
            give=self._take,
            ended=self._reading_ended,
            cancelled=self._cancelled,
            clock=clock,
            skim=None if recorder is None or pick is not None else self._skim,
        )
        self._position = 0
        self._pick = pick
        self._batcher = batcher
        self._workers = self._hire(work)
        self._workers.set_concurrency(concurrency)
        self._judge = judge
        self._brake = brake
        self._describe = describe
        self._check_loop = check_loop
        self._tally = MapTally()
        # How many of them are of a shard is known once all are read.
        self._total = len(payloads) if isinstance(payloads, Sized) and pick is None else None
        self._news = Bell()
        self._error: BaseException | None = None
        self._unrecorded: AsyncInvokeError | None = None
        self._is_told = False
        self._is_stopped = False
        self._is_cancelled = False
        self._is_left = False
        self._is_complete = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Succeeded[Out] | Failed[Out]:
        buffer = self._buffer
        if self._check_loop is not None:
            self._check_loop()
        while not buffer.ready:
            if self._is_cancelled:
                await anyio.lowlevel.checkpoint_if_cancelled()
            self._raise_if_over()
            await self._hear()
        buffer.taken += 1
        if self._source.is_waiting and buffer.should_read_on():
            self._source.wake()
        outcome: Succeeded[Out] | Failed[Out] = buffer.ready.popleft()
        return outcome

    def statistics(self) -> MapStatistics:
        """Return a snapshot of how far the map is."""
        tally, buffer = self._tally, self._buffer
        return MapStatistics(
            concurrency=buffer.concurrency,
            total=self._total,
            paused=buffer.is_held,
            stopped=self._is_stopped,
            read=buffer.read,
            working=0 if self._is_left else buffer.unfinished,
            succeeded=tally.succeeded,
            failed=tally.failed,
            buffered=len(buffer),
            lost=tally.lost,
            recorded=tally.recorded,
            replayed=tally.replayed,
            attempts=tally.attempts,
            throttled=tally.throttled,
            waiting_for=self._waiting_for(),
        )

    def set_concurrency(self, concurrency: int) -> None:
        """Change how many items are worked upon at once, from now on.

        Raises:
            InvalidRequestError: It is not a whole number from 1.
        """
        self._buffer.size(concurrency)
        self._workers.set_concurrency(concurrency)
        if self._buffer.should_read_on():
            self._source.wake()

    def set_tolerance(self, tolerate: int | Tolerance | None) -> None:
        """Change how many items may fail, from the next outcome on; `None` bears everything.

        What has failed so far counts.

        Raises:
            InvalidRequestError: It is neither a whole number from 0 nor a `Tolerance`.
        """
        tolerance = checked_tolerance(tolerate)
        if self._judge is not None:
            self._judge.tolerance = tolerance

    def pause(self) -> None:
        """Start nothing more until `resume`; what is in flight ends, and its outcomes come.

        Nothing is read meanwhile, but for an item that is already waited for, and whoever waits for
        a permit does not hold others up. Time that an item spends paused before its first attempt
        is no part of its `timeout`.
        """
        self._buffer.is_held = True
        if self._brake is not None:
            self._brake.pause()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._buffer.is_held = False
        if self._brake is not None:
            self._brake.resume()
        if self._buffer.should_read_on():
            self._source.wake()

    def stop(self) -> None:
        """Read and start nothing more; what is in flight still gets its outcome.

        An item without an outcome was not sent. One that was refused, and waits to be tried again,
        counts as such. An async input that is waited for is interrupted. A run that is paused ends
        as well.
        """
        self._is_stopped = True
        if self._brake is not None:
            self._brake.stop()
        self._source.stop()
        self._news.ring()

    def note(self, name: str, value: object) -> None:
        """Keep a note in the journal, with what is recorded next; a value of a name replaces another.

        Args:
            name: What it is called among the `notes` of the run's summary.
            value: Anything that JSON can hold.

        Raises:
            ConfigurationError: The map has no journal.
            InvalidRequestError: JSON cannot hold it.
        """
        if self._recorder is None:
            raise ConfigurationError("only a map with a journal keeps notes")
        check_note(name, value)
        self._recorder.note(name, value)

    def __repr__(self) -> str:
        return (
            f"<MapRun {self._tally.succeeded} succeeded, {self._tally.failed} failed, "
            f"{self.statistics().working} working, concurrency {self._buffer.concurrency}>"
        )

    def _hire(self, work: Work) -> Workers[Any]:
        batcher = self._batcher
        if batcher is None:
            return Workers(work, done=self._finished, broke=self._broke, cancelled=self._cancelled)
        workers: Workers[Any] = Workers(
            batcher.work, done=batcher.done, broke=batcher.broke, cancelled=self._cancelled
        )
        batcher.connect(
            give=workers.add,
            finished=self._finished,
            broke=self._broke,
            cancelled=self._cancelled,
        )
        return workers

    # What the block calls.

    def _check_home(self) -> None:
        if self._check_loop is not None:
            self._check_loop()

    async def _open(self) -> None:
        """Open the journal, and look whether it is that of this map."""
        payloads, self._payloads = self._payloads, None
        if self._recorder is None or self._recorded is None:
            return
        await self._recorder.open(payloads, self._prepare)
        self._recorder.connect(
            Ends(
                work=lambda prepared: self._begin(prepared.index, prepared),
                hand_out=self._let_go,
                found=self._found,
                made=self._made,
                dropped=lambda index: self._put(index, None),
                failed=self._cannot_record,
                is_hungry=self._workers.is_hungry,
                is_idle=lambda: not self._buffer.unfinished,
                look_ahead=self._look_ahead,
            )
        )

    def _prepare(self, index: int, item: object) -> Prepared | None:
        if self._recorded is None or (self._pick is not None and not self._pick(index, item)):
            return None
        return self._recorded.prepare(index, item)

    async def _close(self) -> None:
        """Record what is left to be recorded, and close the journal; shielded, once all tasks ended."""
        if self._recorder is not None:
            failed = await self._recorder.close()
            if failed is not None and self._error is None and not self._is_told:
                self._unrecorded = failed

    def _start(self, reading: TaskGroup, working: TaskGroup) -> None:
        self._workers.start(working)
        if self._batcher is not None:
            working.start_soon(self._batcher.watch)
        if self._recorder is not None:
            working.start_soon(self._recorder.write)
        reading.start_soon(self._source.read)

    def _leave(self) -> None:
        self._is_complete = self._is_over and not self._buffer.ready and self._error is None
        self._is_left = True
        self._buffer.cut()
        self._workers.leave()
        if self._batcher is not None:
            self._batcher.leave()
        self._source.stop()
        self._news.ring()

    def _forget(self) -> BaseException | None:
        """Return what has not been raised and must not be lost; once all tasks have ended."""
        # Nor is it kept, or the run, the error, its traceback and the caller's frame, which has the
        # run, would keep each other alive.
        error, self._error = self._error, None
        of_clean_up, self._source.clean_up_error = self._source.clean_up_error, None
        is_lost = error is not None and not isinstance(error, Exception) and not self._is_told
        if is_lost:
            return error
        unrecorded, self._unrecorded = self._unrecorded, None
        return of_clean_up if unrecorded is None else unrecorded

    # What the reader calls.

    async def _skim(self, items: Iterator[object]) -> Iterator[object]:
        recorder, recorded = self._recorder, self._recorded
        assert recorder is not None and recorded is not None  # noqa: S101, PT018  # or it is not called
        return await recorder.skim(
            items,
            recorded.write,
            skipped=self._skipped,
            is_over=lambda: self._source.is_stopping,
        )

    def _skipped(self, count: int) -> None:
        self._position += count
        self._buffer.read += count
        self._buffer.taken += count
        self._tally.recorded += count

    def _take(self, item: object) -> None:
        if self._is_left or self._source.has_ended:
            # It was waited for; but the end has been told, and nobody is there to work on it.
            _logger.warning("the input of a map gave an item after its end, which is dropped")
            return
        index = self._position
        self._position += 1
        if self._pick is not None and not self._pick(index, item):
            return
        self._buffer.expect(index)
        if self._recorder is None or self._recorded is None:
            self._begin(index, item)
        else:
            self._recorder.read(self._recorded.prepare(index, item))

    def _begin(self, index: int, item: object) -> None:
        """Let an item be worked upon."""
        if self._batcher is None:
            self._workers.add(index, item)
            return
        self._batcher.add(index, item)
        self._gathered()
        if self._source.is_waiting and self._buffer.should_read_on():
            self._source.wake()

    def _gathered(self) -> None:
        """Close the last batches, once there is nothing that could still go into them."""
        if self._batcher is not None and self._source.has_ended:
            self._batcher.close_if_last()

    def _reading_ended(self, error: BaseException | None) -> None:
        self._gathered()
        if error is None and self._recorder is not None and not self._source.is_stopping:
            error = self._recorder.all_read(self._position)
        if error is not None:
            self._end(error)
        self._news.ring()

    def _cancelled(self) -> None:
        """Note that the block is cancelled: a worker or the reader was, and its item has no end."""
        self._is_cancelled = True
        self._news.ring()

    # What the workers call.

    def _finished(self, index: int, outcome: Outcome[Any]) -> None:
        self._tally.add(outcome)
        self._judged(outcome)
        if self._recorder is None:
            self._put(index, outcome)
            return
        self._buffer.hold()
        self._recorder.ended(index, outcome)
        self._moved()

    def _judged(self, outcome: Outcome[Any]) -> None:
        """End the map if this outcome is one too many."""
        reason = None if self._judge is None else self._judge(outcome)
        if reason is not None and not self._is_no_news(reason):
            self._end(reason)
            if isinstance(reason, ToleranceExceededError):
                self.stop()

    def _broke(self, index: int, error: BaseException) -> None:
        if not isinstance(error, NotStartedError):
            self._end(error)
        self._put(index, None)

    @property
    def _is_over(self) -> bool:
        buffer = self._buffer
        return self._source.has_ended and not buffer.unfinished and not buffer.held

    # What the recorder calls.

    def _let_go(self, index: int, outcome: Outcome[Any]) -> None:
        self._buffer.let_go(index, outcome)
        self._moved()

    def _found(self, index: int, outcome: Outcome[Any] | None) -> None:
        self._tally.recorded += 1
        if outcome is None:
            self._buffer.taken += 1
        else:
            self._tally.replayed += 1
        self._put(index, outcome)

    def _made(self, index: int, outcome: Outcome[Any]) -> None:
        error = outcome.error
        if isinstance(error, InvocationError) and error.code == TransportFault.PROCESS_LOST:
            self._tally.lost += 1
        else:
            self._tally.add(outcome)
            self._judged(outcome)
        self._put(index, outcome)

    def _cannot_record(self, error: Exception) -> None:
        """Start nothing more; what is in flight ends, and is handed out as it is."""
        dropped = self._workers.drop()
        for index in dropped if self._batcher is None else self._batcher.drop(dropped):
            self._put(index, None)
        self._end(error)

    def _look_ahead(self, count: int) -> None:
        self._buffer.ahead = count
        self._buffer.size(self._buffer.concurrency)
        self._moved()

    def _is_no_news(self, reason: AsyncInvokeError) -> bool:
        """Whether it only says that no more can be sent, where there is no more to send."""
        return isinstance(reason, ConfigurationError) and self._source.has_ended

    def _put(self, index: int, outcome: Outcome[Any] | None) -> None:
        self._buffer.put(index, outcome)
        self._moved()

    def _moved(self) -> None:
        """Wake the reader if there is room, and the consumer if there is something for it."""
        self._gathered()
        buffer = self._buffer
        if self._source.is_waiting and buffer.should_read_on():
            self._source.wake()
        if self._news.heard is not None and (
            buffer.ready or not (buffer.unfinished or buffer.held)
        ):
            self._news.ring()

    def _end(self, error: BaseException) -> None:
        if isinstance(error, StopAsyncIteration):
            # Raised by a consumer's `__anext__`, it would look like the end of all outcomes.
            wrapped = RuntimeError("the input of a map, or its work, raised StopAsyncIteration")
            wrapped.__cause__ = error
            error = wrapped
        if not isinstance(error, Exception):
            self._buffer.cut()
            self._error = error
        self._error = self._error or error
        self._source.stop()
        self._news.ring()

    def _raise_if_over(self) -> None:
        if self._is_left:
            if self._is_complete:
                raise StopAsyncIteration
            raise ConfigurationError(
                "the block of this map was left before all outcomes were taken: "
                "iterate within `async with invoker.map(...) as run:`"
            )
        if self._error is not None and (self._buffer.is_cut or self._is_over):
            self._is_told = True
            raise self._error
        if self._is_over:
            raise StopAsyncIteration
        if self._is_cancelled:
            raise ConfigurationError(
                "the block of this map was cancelled, and outcomes are missing: "
                "to shield a map from cancellation, shield its block, not the iteration alone"
            )

    async def _hear(self) -> None:
        """Wait for news: an outcome, or an end."""
        news = self._news.listen()
        if self._buffer.unfinished or self._buffer.held or not self._source.is_stopping:
            await news.wait()
            return
        with anyio.move_on_after(LAST_WORD):
            await news.wait()
            return
        self._source.give_up()

    def _waiting_for(self) -> str | None:
        if self._is_left or self._is_over:
            return None
        buffer = self._buffer
        if buffer.is_held:
            return "`resume`: it is paused"
        if not buffer.has_room():
            if buffer.ready:
                return f"the consumer: {len(buffer.ready)} outcomes are there to be taken"
            return f"item {buffer.next_index}, whose outcome is due before the others"
        limited = self._describe() if self._describe is not None and buffer.unfinished else None
        if limited is not None:
            return limited
        return "the input" if self._source.is_silent and not buffer.unfinished else None
