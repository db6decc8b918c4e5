"""The path of items through a map, from the reader to the consumer; and how a map ends.

`recorded_map.py` has that of a map with a journal, which leads through the recorder twice.
"""

import contextlib
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import anyio
from anyio.abc import TaskGroup

from asyncinvoke._clock import Clock
from asyncinvoke._engine.batcher import Batcher
from asyncinvoke._engine.buffer import Buffer
from asyncinvoke._engine.frames import hide_frames
from asyncinvoke._engine.outcome import MapTally, Outcome
from asyncinvoke._engine.shard import ShardFilter
from asyncinvoke._engine.source import Skim, Source
from asyncinvoke._engine.tasks import Wakeup, Work, Workers
from asyncinvoke._engine.tolerance import StopCondition
from asyncinvoke._engine.waits import Brake, NotStartedError
from asyncinvoke.errors import AsyncInvokeError, ConfigurationError, ToleranceExceededError

LAST_WORD = 1.0
"""How long the end of a run waits for an interrupted input to return, in seconds. The input may be
about to yield an item."""

Accept: TypeAlias = Callable[[int, object], None]
"""Accepts an item of the input, with its index."""

_logger = logging.getLogger("asyncinvoke")


class Pipeline:
    """Moves items from the source to the workers, or into batches, and outcomes into the buffer.

    Args:
        payloads: The input.
        work: Processes an item and returns its outcome. An exception it raises ends the run.
        concurrency: The maximum number of items processed concurrently.
        ordered: Whether outcomes are yielded in input order.
        stop_condition: Inspects every outcome; an error it returns ends the run.
        brake: Checked by the work before each attempt.
        clock: Measures how long reading blocks the event loop.
        batcher: Groups items into batches, and processes those instead of `work`.
        shard_filter: Selects the items to process; by default all.
        skim: Called first with a synchronous input; returns the rest of it.
    """

    # Every run ends on the same path. `_end` and `stop` only ask the source to stop. The reader
    # then reports that reading has ended, as it does when the input is exhausted, and a run is over
    # once reading has ended and no item is unfinished. This is the only condition that consumers
    # check, whenever there is no outcome and whenever they are woken. So the order is always: the
    # cause, the end of reading, the last outcome, the end seen by the consumer. An interrupted
    # input that does not return cannot delay this for longer than `LAST_WORD`.
    #
    # The cancellation of the caller is not an end. Workers may be cancelled before the consumer is,
    # and their items stay unfinished, so the run cannot look complete in the meantime. But a
    # consumer in a shielded scope is never cancelled, and must be notified.

    def __init__(
        self,
        payloads: object,
        work: Work,
        *,
        concurrency: int,
        ordered: bool,
        stop_condition: StopCondition | None,
        brake: Brake | None,
        clock: Clock,
        batcher: Batcher | None = None,
        shard_filter: ShardFilter | None = None,
        skim: Skim | None = None,
    ) -> None:
        self.buffer: Buffer = (
            Buffer(concurrency, ordered=ordered)
            if batcher is None
            else batcher.buffer(concurrency, ordered=ordered)
        )
        self.source: Source = Source(
            payloads,
            wanted=self.buffer.may_read,
            give=self._take,
            ended=self._reading_ended,
            cancelled=self._cancelled,
            clock=clock,
            skim=skim,
        )
        self._position = 0
        self._shard_filter = shard_filter
        self._batcher = batcher
        self.workers: Workers[Any] = self._hire(work)
        self.workers.set_concurrency(concurrency)
        # Bound here, so that an item passes through one function less, or two.
        self._begin: Accept = self.workers.add if batcher is None else self._add_to_batch
        self._accept: Accept = self._begin
        self._stop_condition = stop_condition
        self._brake = brake
        self.tally: MapTally = MapTally()
        self._consumer = Wakeup()
        self._helpers: list[anyio.TaskHandle[None]] = []
        self._error: BaseException | None = None
        self._is_told = False
        self.is_stopped: bool = False
        """Whether nothing more is started."""
        self.is_cancelled: bool = False
        """Whether a task of the block met its cancellation."""
        self.is_left: bool = False
        """Whether the block was left."""
        self._is_complete = False

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

    async def open(self) -> None:
        """Prepare the run, before anything is read."""

    async def close(self) -> None:
        """Clean up, once all tasks have ended; shielded."""

    def start(self, reading: TaskGroup, working: TaskGroup) -> None:
        """Start reading in one group, and working in the other."""
        self.workers.start(working)
        if self._batcher is not None:
            self._helpers.append(working.start_soon(self._batcher.watch))
        reading.start_soon(self.source.read)

    def leave(self) -> None:
        """Yield no more outcomes, and cancel all work in progress."""
        if not self.is_left:
            self._is_complete = self.is_over and not self.buffer.ready and self._error is None
        self.is_left = True
        self.buffer.cut()
        self.workers.leave()
        if self._batcher is not None:
            self._batcher.leave()
        self.source.stop()
        self._consumer.wake()

    async def abandon(self) -> None:
        """End everything without cancelling the block: calls in flight end, unseen."""
        self.is_left = True
        self.buffer.cut()
        self.stop()
        while not self.is_over:
            await self.wait()
        self.workers.dismiss()
        for helper in self._helpers:
            helper.cancel()
            with contextlib.suppress(anyio.TaskCancelled):
                await helper
        await self.close()

    def forget(self) -> BaseException | None:
        """Return and drop an error that must still be raised, once all tasks have ended."""
        # Keeping it would create a reference cycle of the run, the error, its traceback and the
        # caller's frame, which refers to the run.
        error, self._error = self._error, None
        of_clean_up, self.source.clean_up_error = self.source.clean_up_error, None
        if error is not None and not isinstance(error, Exception) and not self._is_told:
            return error
        return of_clean_up

    # What the reader calls.

    def _take(self, item: object) -> None:
        if self.is_left or self.source.has_ended:
            # The end was already reported while the item was awaited, and there are no workers.
            _logger.warning("the input of a map gave an item after its end, which is dropped")
            return
        index = self._position
        self._position += 1
        if self._shard_filter is not None and not self._shard_filter(index, item):
            return
        self.buffer.expect(index)
        self._accept(index, item)

    def _add_to_batch(self, index: int, item: object) -> None:
        assert self._batcher is not None  # noqa: S101  # see `__init__`
        self._batcher.add(index, item)
        self._gathered()
        if self.source.is_waiting and self.buffer.should_read_on():
            self.source.wake()

    def _gathered(self) -> None:
        """Close the last batches, once no more items can be added to them."""
        if self._batcher is not None and self.source.has_ended:
            self._batcher.close_if_last()

    def _reading_ended(self, error: BaseException | None) -> None:
        self._gathered()
        if error is None and not self.source.is_stopping:
            error = self._all_read()
        if error is not None:
            self._end(error)
        self._consumer.wake()

    def _all_read(self) -> BaseException | None:
        """Return what is wrong with an exhausted input, if anything."""
        return None

    def _cancelled(self) -> None:
        """Record that the block is cancelled: a worker or the reader was, and its item is lost."""
        self.is_cancelled = True
        self._consumer.wake()

    # What the workers call.

    def _finished(self, index: int, outcome: Outcome[Any]) -> None:
        self.tally.add(outcome)
        self._check_stop(outcome)
        self.buffer.put(index, outcome)
        self._moved()

    def _check_stop(self, outcome: Outcome[Any]) -> None:
        """End the map if its stop condition says so."""
        if self._stop_condition is None or (reason := self._stop_condition(outcome)) is None:
            return
        if not self._changes_nothing(reason):
            self._end(reason)
            if isinstance(reason, ToleranceExceededError):
                self.stop()

    def _broke(self, index: int, error: BaseException) -> None:
        if not isinstance(error, NotStartedError):
            self._end(error)
        self._put(index, None)

    def _changes_nothing(self, reason: AsyncInvokeError) -> bool:
        """Whether the error only says that no more can be sent, and there is no more to send."""
        return isinstance(reason, ConfigurationError) and self.source.has_ended

    def _put(self, index: int, outcome: Outcome[Any] | None) -> None:
        self.buffer.put(index, outcome)
        self._moved()

    def _moved(self) -> None:
        """Wake the reader if there is room, and the consumer if there is an outcome or an end."""
        if self._batcher is not None:
            self._gathered()
        buffer = self.buffer
        if self.source.is_waiting and buffer.should_read_on():
            self.source.wake()
        if self._consumer.event is not None and (
            buffer.ready or not (buffer.unfinished or buffer.held)
        ):
            self._consumer.wake()

    def _end(self, error: BaseException) -> None:
        hide_frames(error)
        if isinstance(error, StopAsyncIteration):
            # Raised by a consumer's `__anext__`, it would look like the end of all outcomes.
            wrapped = RuntimeError("the input of a map, or its work, raised StopAsyncIteration")
            wrapped.__cause__ = error
            error = wrapped
        if not isinstance(error, Exception):
            self.buffer.cut()
            self._error = error
        self._error = self._error or error
        self.source.stop()
        self._consumer.wake()

    # What the consumer calls.

    def stop(self) -> None:
        """Stop reading and starting items; calls in flight still get their outcome."""
        self.is_stopped = True
        if self._brake is not None:
            self._brake.stop()
        self.source.stop()
        self._consumer.wake()

    @property
    def is_over(self) -> bool:
        """Whether reading has ended and no item is unfinished."""
        buffer = self.buffer
        return self.source.has_ended and not buffer.unfinished and not buffer.held

    def raise_if_over(self) -> None:
        """Raise the way the map ended, if it has ended and all outcomes were consumed."""
        if self.is_left:
            if self._is_complete:
                raise StopAsyncIteration
            raise ConfigurationError(
                "the block of this map was left before all outcomes were taken: "
                "iterate within `async with invoker.map(...) as run:`"
            )
        if self._error is not None and (self.buffer.is_cut or self.is_over):
            self._is_told = True
            raise self._error
        if self.is_over:
            raise StopAsyncIteration
        if self.is_cancelled:
            raise ConfigurationError(
                "the block of this map was cancelled, and outcomes are missing: "
                "to shield a map from cancellation, shield its block, not the iteration alone"
            )

    async def wait(self) -> None:
        """Wait for an outcome, or for the end of the run."""
        woken = self._consumer.listen()
        if self.buffer.unfinished or self.buffer.held or not self.source.is_stopping:
            await woken.wait()
            return
        with anyio.move_on_after(LAST_WORD):
            await woken.wait()
            return
        self.source.give_up()
