"""A map under way: its outcomes as they come, how it is steered, and how it ends."""

import logging
from collections.abc import Callable
from typing import Any, Generic, Self, TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from asyncinvoke._clock import Clock
from asyncinvoke._engine.buffer import Buffer
from asyncinvoke._engine.outcome import MapStatistics, MapTally, Outcome
from asyncinvoke._engine.source import Source
from asyncinvoke._engine.tasks import Bell, Work, Workers
from asyncinvoke._model.response import Out
from asyncinvoke.errors import AsyncInvokeError, ConfigurationError

LAST_WORD = 1.0
"""How long an end waits for an input that was interrupted and does not come back, in seconds. It
may have an item in its hands."""

Judge: TypeAlias = Callable[[Outcome[Any]], AsyncInvokeError | None]
"""Sees every outcome as it comes; what it returns ends the run."""

Describe: TypeAlias = Callable[[], str | None]
"""Says what keeps the work back, if anything does."""

_logger = logging.getLogger("asyncinvoke")


class MapRun(Generic[Out]):
    """The outcomes of a map, as an async iterator; given by `async with invoker.map(...)`.

    Iterating gives one `Outcome` for each item that was read, however it fared. Several tasks may
    share a run: each outcome goes to one of them.

    Whatever ends a run ends it in the same way: nothing more is read, what was read gets its
    outcome, all outcomes are taken, and then iterating stops, or raises

    - what the input raised, as itself;
    - `ToleranceExceededError`, after a hundred refusals in a row for one reason;
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
        describe: Describe | None,
        clock: Clock,
        check_loop: Callable[[], None] | None,
    ) -> None:
        self._buffer = Buffer(concurrency, ordered=ordered)
        self._source = Source(
            payloads,
            wanted=self._buffer.may_read,
            give=self._take,
            ended=self._reading_ended,
            cancelled=self._cancelled,
            clock=clock,
        )
        self._workers = Workers(
            work, done=self._finished, broke=self._broke, cancelled=self._cancelled
        )
        self._workers.set_concurrency(concurrency)
        self._judge = judge
        self._describe = describe
        self._check_loop = check_loop
        self._tally = MapTally()
        self._news = Bell()
        self._error: BaseException | None = None
        self._is_told = False
        self._is_cancelled = False
        self._is_left = False
        self._is_complete = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome[Out]:
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
        return buffer.ready.popleft()

    def statistics(self) -> MapStatistics:
        """Return a snapshot of how far the map is."""
        tally, buffer = self._tally, self._buffer
        return MapStatistics(
            concurrency=buffer.concurrency,
            read=buffer.read,
            working=0 if self._is_left else buffer.unfinished,
            succeeded=tally.succeeded,
            failed=tally.failed,
            buffered=len(buffer),
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

    def stop(self) -> None:
        """Read nothing more; what was read still gets its outcome.

        That is what is in flight, and of the items that wait for a worker one for eight workers, at
        most 16. An async input that is waited for is interrupted.
        """
        self._source.stop()
        self._news.ring()

    def __repr__(self) -> str:
        return (
            f"<MapRun {self._tally.succeeded} succeeded, {self._tally.failed} failed, "
            f"{self.statistics().working} working, concurrency {self._buffer.concurrency}>"
        )

    # What the block calls.

    def _check_home(self) -> None:
        if self._check_loop is not None:
            self._check_loop()

    def _start(self, reading: TaskGroup, working: TaskGroup) -> None:
        self._workers.start(working)
        reading.start_soon(self._source.read)

    def _leave(self) -> None:
        self._is_complete = self._is_over and not self._buffer.ready and self._error is None
        self._is_left = True
        self._buffer.cut()
        self._workers.leave()
        self._source.stop()
        self._news.ring()

    def _forget(self) -> BaseException | None:
        """Return what has not been raised and must not be lost; once all tasks have ended."""
        # Nor is it kept, or the run, the error, its traceback and the caller's frame, which has the
        # run, would keep each other alive.
        error, self._error = self._error, None
        of_clean_up, self._source.clean_up_error = self._source.clean_up_error, None
        is_lost = error is not None and not isinstance(error, Exception) and not self._is_told
        return error if is_lost else of_clean_up

    # What the reader calls.

    def _take(self, item: object) -> None:
        if self._is_left or self._source.has_ended:
            # It was waited for; but the end has been told, and nobody is there to work on it.
            _logger.warning("the input of a map gave an item after its end, which is dropped")
            return
        index = self._buffer.read
        self._buffer.read += 1
        self._buffer.unfinished += 1
        self._workers.add(index, item)

    def _reading_ended(self, error: BaseException | None) -> None:
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
        if self._judge is not None:
            reason = self._judge(outcome)
            if reason is not None and not self._is_no_news(reason):
                self._end(reason)
        self._put(index, outcome)

    def _broke(self, index: int, error: BaseException) -> None:
        self._end(error)
        self._put(index, None)

    @property
    def _is_over(self) -> bool:
        return self._source.has_ended and not self._buffer.unfinished

    def _is_no_news(self, reason: AsyncInvokeError) -> bool:
        """Whether it only says that no more can be sent, where there is no more to send."""
        return isinstance(reason, ConfigurationError) and self._source.has_ended

    def _put(self, index: int, outcome: Outcome[Any] | None) -> None:
        buffer = self._buffer
        buffer.put(index, outcome)
        if self._source.is_waiting and buffer.should_read_on():
            self._source.wake()
        if self._news.heard is not None and (buffer.ready or not buffer.unfinished):
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
        if self._buffer.unfinished or not self._source.is_stopping:
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
        if not buffer.has_room():
            if buffer.ready:
                return f"the consumer: {len(buffer.ready)} outcomes are there to be taken"
            return f"item {buffer.next_index}, whose outcome is due before the others"
        limited = self._describe() if self._describe is not None and buffer.unfinished else None
        if limited is not None:
            return limited
        return "the input" if self._source.is_silent and not buffer.unfinished else None
