"""The path of items through a map, from the reader to the consumer; and how a map ends.

`recorded_map.py` has that of a map with a journal, which leads through the recorder twice.
"""

import logging
from typing import Any

import anyio
from anyio.abc import TaskGroup

from asyncinvoke._clock import Clock
from asyncinvoke._engine.batcher import Batcher
from asyncinvoke._engine.buffer import Buffer
from asyncinvoke._engine.outcome import MapTally, Outcome
from asyncinvoke._engine.shard import Pick
from asyncinvoke._engine.source import Skim, Source
from asyncinvoke._engine.tasks import Bell, Work, Workers
from asyncinvoke._engine.tolerance import Judge
from asyncinvoke._engine.waits import Brake, NotStartedError
from asyncinvoke.errors import AsyncInvokeError, ConfigurationError, ToleranceExceededError

LAST_WORD = 1.0
"""How long an end waits for an input that was interrupted and does not come back, in seconds. It
may have an item in its hands."""

_logger = logging.getLogger("asyncinvoke")


class Pipeline:
    """Moves items from the source to the workers, or into batches, and outcomes into the buffer.

    Args:
        payloads: The input.
        work: Turns an item into its outcome. What it raises ends the run.
        concurrency: How many items are worked on at once.
        ordered: Whether outcomes come in the order of the input.
        judge: Sees every outcome; what it returns ends the run.
        brake: What the work looks at before each attempt.
        clock: Tells how long reading holds the event loop.
        batcher: Gathers items into batches, and works on those in the place of `work`.
        pick: Says which items are worked on; by default all.
        skim: Is given a sync input first, and gives back what it has left of it.
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
        clock: Clock,
        batcher: Batcher | None = None,
        pick: Pick | None = None,
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
        self._pick = pick
        self._batcher = batcher
        self.workers: Workers[Any] = self._hire(work)
        self.workers.set_concurrency(concurrency)
        self._judge = judge
        self._brake = brake
        self.tally: MapTally = MapTally()
        self._news = Bell()
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
        """Get ready, before anything is read."""

    async def close(self) -> None:
        """Put everything away, once all tasks have ended; shielded."""

    def start(self, reading: TaskGroup, working: TaskGroup) -> None:
        """Read in one group, and work in the other."""
        self.workers.start(working)
        if self._batcher is not None:
            working.start_soon(self._batcher.watch)
        reading.start_soon(self.source.read)

    def leave(self) -> None:
        """Give no outcomes any more, and end whatever is under way."""
        self._is_complete = self.is_over and not self.buffer.ready and self._error is None
        self.is_left = True
        self.buffer.cut()
        self.workers.leave()
        if self._batcher is not None:
            self._batcher.leave()
        self.source.stop()
        self._news.ring()

    def forget(self) -> BaseException | None:
        """Return what has not been raised and must not be lost; once all tasks have ended."""
        # Nor is it kept, or the run, the error, its traceback and the caller's frame, which has the
        # run, would keep each other alive.
        error, self._error = self._error, None
        of_clean_up, self.source.clean_up_error = self.source.clean_up_error, None
        if error is not None and not isinstance(error, Exception) and not self._is_told:
            return error
        return of_clean_up

    # What the reader calls.

    def _take(self, item: object) -> None:
        if self.is_left or self.source.has_ended:
            # It was waited for; but the end has been told, and nobody is there to work on it.
            _logger.warning("the input of a map gave an item after its end, which is dropped")
            return
        index = self._position
        self._position += 1
        if self._pick is not None and not self._pick(index, item):
            return
        self.buffer.expect(index)
        self._accept(index, item)

    def _accept(self, index: int, item: object) -> None:
        """Take an item that was read."""
        self._begin(index, item)

    def _begin(self, index: int, item: object) -> None:
        """Let an item be worked on."""
        if self._batcher is None:
            self.workers.add(index, item)
            return
        self._batcher.add(index, item)
        self._gathered()
        if self.source.is_waiting and self.buffer.should_read_on():
            self.source.wake()

    def _gathered(self) -> None:
        """Close the last batches, once there is nothing that could still go into them."""
        if self._batcher is not None and self.source.has_ended:
            self._batcher.close_if_last()

    def _reading_ended(self, error: BaseException | None) -> None:
        self._gathered()
        if error is None and not self.source.is_stopping:
            error = self._all_read()
        if error is not None:
            self._end(error)
        self._news.ring()

    def _all_read(self) -> BaseException | None:
        """Return what is wrong with an input that has ended by itself, if anything."""
        return None

    def _cancelled(self) -> None:
        """Note that the block is cancelled: a worker or the reader was, and its item has no end."""
        self.is_cancelled = True
        self._news.ring()

    # What the workers call.

    def _finished(self, index: int, outcome: Outcome[Any]) -> None:
        self.tally.add(outcome)
        self._judged(outcome)
        self.buffer.put(index, outcome)
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

    def _is_no_news(self, reason: AsyncInvokeError) -> bool:
        """Whether it only says that no more can be sent, where there is no more to send."""
        return isinstance(reason, ConfigurationError) and self.source.has_ended

    def _put(self, index: int, outcome: Outcome[Any] | None) -> None:
        self.buffer.put(index, outcome)
        self._moved()

    def _moved(self) -> None:
        """Wake the reader if there is room, and the consumer if there is something for it."""
        if self._batcher is not None:
            self._gathered()
        buffer = self.buffer
        if self.source.is_waiting and buffer.should_read_on():
            self.source.wake()
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
            self.buffer.cut()
            self._error = error
        self._error = self._error or error
        self.source.stop()
        self._news.ring()

    # What the consumer calls.

    def stop(self) -> None:
        """Read and start nothing more; what is in flight still gets its outcome."""
        self.is_stopped = True
        if self._brake is not None:
            self._brake.stop()
        self.source.stop()
        self._news.ring()

    @property
    def is_over(self) -> bool:
        """Whether reading has ended, and no item that was read is unfinished."""
        buffer = self.buffer
        return self.source.has_ended and not buffer.unfinished and not buffer.held

    def raise_if_over(self) -> None:
        """Raise how the map has ended, if it has and nothing is left to be taken."""
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

    async def hear(self) -> None:
        """Wait for news: an outcome, or an end."""
        news = self._news.listen()
        if self.buffer.unfinished or self.buffer.held or not self.source.is_stopping:
            await news.wait()
            return
        with anyio.move_on_after(LAST_WORD):
            await news.wait()
            return
        self.source.give_up()
