"""The input of a map, and the one task that reads it: sync or async, lazily, possibly endless."""

import inspect
import logging
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from typing import Any, TypeAlias

import anyio

from asyncinvoke._clock import Clock
from asyncinvoke._engine.payloads import checked
from asyncinvoke._engine.tasks import Wakeup, current_task, is_abandoned, is_cancellation

CLEAN_UP_TIME = 5.0
"""The time limit for the clean-up of an async generator, in seconds. Most have a file or a
connection to close, and the caller waits for it when leaving the block."""

LONGEST_HOLD = 0.01
"""How long reading may block the event loop before it yields, in seconds."""

LOOP_SHARE = 0.1
"""How long it yields, as a share of the time for which it blocked the loop."""

_logger = logging.getLogger("asyncinvoke")


Skim: TypeAlias = Callable[[Iterator[object]], Awaitable[Iterator[object]]]
"""Consumes the beginning of an input, and returns the rest."""


class Source:
    """Reads the input of a map, in one task from its first item to its clean-up.

    An async generator may hold cancel scopes and task groups across its `yield`; the outcomes of
    another map, for example, are read inside its block. Scopes belong to the task that entered them
    and must be exited in reverse order. Hence:

    - A single task iterates over the input and closes it; no other task ever touches it.
    - Our scope is entered before the first item and exited after the clean-up. A scope per item, or
      one for the clean-up only, would be exited while scopes of the generator are still open inside
      it. So this one scope is cancelled to interrupt a wait for the input, and gets a deadline when
      the clean-up begins.
    - While the reader waits for room it is inside the generator's scopes. These may be cancelled,
      for example by a timeout in the generator. The generator should see that cancellation when it
      resumes, not the reader. So a cancellation does not end this wait but is delivered at the next
      one, in the generator. `wake` and `stop` do end it; a cancelled caller leaves the block, which
      calls `stop`.

    An async generator that is interrupted, or whose caller is cancelled, cleans up under
    cancellation, like any code; one suspended at its `yield` has `CLEAN_UP_TIME` to do so.
    """

    def __init__(
        self,
        payloads: object,
        *,
        wanted: Callable[[], bool],
        give: Callable[[object], None],
        ended: Callable[[BaseException | None], None],
        cancelled: Callable[[], None],
        clock: Clock,
        skim: Skim | None = None,
    ) -> None:
        """Validate the input, without reading it.

        Args:
            payloads: The input.
            wanted: Returns whether an item may be read now; `wake` is called when this changes.
            give: Called with each item.
            ended: Called when reading has ended, with the input's error if there was one.
            cancelled: Called when the reader was cancelled from outside.
            clock: Measures how long reading blocks the event loop.
            skim: Called first with a synchronous input; returns the rest of it.

        Raises:
            InvalidRequestError: The input is not iterable, or is itself a single payload.
        """
        self._payloads: AsyncIterable[object] | Iterable[object] | None = checked(payloads)
        self._wanted = wanted
        self._give = give
        self._ended = ended
        self._cancelled = cancelled
        self._clock = clock
        self._skim = skim
        self._scope: anyio.CancelScope | None = None
        self._task: int | None = None
        self._room = Wakeup()
        self._stopped = Wakeup()
        self.is_waiting: bool = False
        """Whether the reader is waiting to be woken."""
        self.is_silent: bool = False
        """Whether the reader is waiting for the input."""
        self.is_stopping: bool = False
        """Whether reading should stop."""
        self.has_ended: bool = False
        """Whether reading has ended."""
        self.clean_up_error: BaseException | None = None
        """The exception raised by the input when it was interrupted or closed."""

    async def read(self) -> None:
        """Read items until the input is exhausted or reading is stopped; then close the input."""
        try:
            await self._read()
        except GeneratorExit:  # the event loop is gone; nothing can be reported
            raise
        except BaseException:
            self._cancelled()
            raise
        self._end(None)

    def wake(self) -> None:
        """Continue reading, if the reader is waiting for room."""
        self.is_waiting = False
        self._room.wake()

    def stop(self) -> None:
        """Stop reading, and interrupt the wait for an item, which might never arrive."""
        self.is_stopping = True
        if self.is_silent and self._scope is not None:
            self._scope.cancel()
        self.wake()
        self._stopped.wake()

    def give_up(self) -> None:
        """Treat reading as ended, although the input has not returned."""
        self.has_ended = True

    async def _read(self) -> None:
        payloads, self._payloads = self._payloads, None
        self._task = current_task()
        with anyio.CancelScope() as self._scope:
            items: AsyncIterator[object] | Iterator[object] | None = None
            try:
                if isinstance(payloads, AsyncIterable):
                    items = aiter(payloads)
                    await self._read_async(items)
                elif payloads is not None:
                    items = iter(payloads)
                    if self._skim is not None:
                        items = await self._skim(items)
                    await self._read_sync(items)
            except BaseException as error:
                if is_abandoned(error, self._task):
                    items = None
                    raise
                if is_cancellation(error):
                    raise
                self._fail(error)
            else:
                self._end(None)
            finally:
                del payloads
                if inspect.isasyncgen(items):
                    await self._close(items)

    async def _read_async(self, items: AsyncIterator[object]) -> None:
        while not self.is_stopping:
            if not self._wanted():
                await self._wait()
                continue
            self.is_silent = True
            try:
                item = await anext(items)
            except StopAsyncIteration:
                return
            finally:
                self.is_silent = False
            self._give(item)
            del item

    async def _read_sync(self, items: Iterator[object]) -> None:
        """Read without awaiting, but yield to the event loop regularly.

        A slow input, such as a query or a file per item, blocks the loop, and timeouts expire while
        responses lie unread in their sockets. Each item is handed over before the pause, during
        which its request is written.
        """
        wanted, give, monotonic = self._wanted, self._give, self._clock.monotonic
        since = monotonic()
        while not self.is_stopping:
            if not wanted():
                await self._wait()
                since = monotonic()
                continue
            try:
                item = next(items)
            except StopIteration:
                return
            give(item)
            del item
            held = monotonic() - since
            if held >= LONGEST_HOLD:
                await self._rest(held * LOOP_SHARE)
                since = monotonic()

    async def _wait(self) -> None:
        """Wait for `wake` or `stop`, regardless of cancellation."""
        rung = self._room.listen()
        self.is_waiting = True
        try:
            await rung.wait()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await rung.wait()

    async def _rest(self, seconds: float) -> None:
        with anyio.move_on_after(seconds, shield=True):
            await self._stopped.listen().wait()

    async def _close(self, items: AsyncGenerator[object, Any]) -> None:
        """Close an async generator; any other input is left to its owner.

        Unlike a generator, an async generator cannot clean up when it is garbage-collected.
        """
        assert self._scope is not None  # noqa: S101  # this runs within it
        was_cancelled = self._scope.cancel_called
        self._scope.deadline = anyio.current_time() + CLEAN_UP_TIME
        try:
            await items.aclose()
        except BaseException as error:
            if is_abandoned(error, self._task) or is_cancellation(error):
                raise
            self.clean_up_error = _without_our_exit(error)
        finally:
            if self._scope.cancel_called and not was_cancelled:
                _logger.warning(
                    "the input of a map took longer than %g s to clean up, and was cut off",
                    CLEAN_UP_TIME,
                )

    def _fail(self, error: BaseException) -> None:
        """Report an error of the input; errors after an interruption count as clean-up errors."""
        if self.is_stopping:
            self.clean_up_error = error
            self._end(None)
        else:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if not self.has_ended:
            self.has_ended = True
            self._ended(error)


def _without_our_exit(error: BaseException) -> BaseException | None:
    """Return the error of a clean-up without the `GeneratorExit` that started it, if any remains.

    A task group around a `yield` treats it as an error of its block, and raises it in a group.
    """
    if isinstance(error, BaseExceptionGroup):
        return error.split(GeneratorExit)[1]
    return error
