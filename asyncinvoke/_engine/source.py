"""The input of a map, and the one task that reads it: sync or async, lazily, possibly endless."""

import inspect
import logging
from collections import UserString
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sized,
)
from typing import Any, TypeAlias

import anyio

from asyncinvoke._clock import Clock
from asyncinvoke._engine.tasks import Bell, current_task, is_abandoned, is_cancellation
from asyncinvoke.errors import InvalidRequestError

CLEAN_UP_TIME = 5.0
"""How long an async generator may take to clean up when it is closed, in seconds. Most have a file
or a connection to close; the caller, who wants to leave, waits for it."""

LONGEST_HOLD = 0.01
"""How long reading may hold the event loop without a pause, in seconds."""

LOOP_SHARE = 0.1
"""How long the pause is, as a share of the time that reading held the loop."""

_logger = logging.getLogger("asyncinvoke")


Skim: TypeAlias = Callable[[Iterator[object]], Awaitable[Iterator[object]]]
"""Reads the beginning of an input in a way of its own, and returns the rest."""


class Source:
    """Reads the input of a map, in one task from its first item to its clean-up.

    An async generator may hold cancel scopes and task groups across its `yield`, and the outcomes
    of another map are read within its block. All of these belong to the task that entered them,
    and are nested in the order in which they were entered. Hence:

    - One task iterates and closes the input; nobody else ever touches it.
    - Our scope is entered before the first item and left after the clean-up. A scope for each item,
      or for the clean-up alone, would be left while scopes of the generator's are open in it. So it
      is this one that is cancelled to interrupt a wait for the input, and that gets a deadline once
      the clean-up begins.
    - While the reader waits for room it stands within the generator's scopes. Those may be
      cancelled, by a timeout of the generator's own; the generator is to notice that when it goes
      on, not the reader. So a cancellation does not end that wait, but goes on to the next one,
      which is the generator's. `wake` and `stop` do end it; and a caller who is cancelled leaves
      the block, which calls `stop`.

    An async generator that is interrupted, or whose caller is cancelled, cleans up under
    cancellation, as any code does; one that stands at its `yield` has `CLEAN_UP_TIME` for it.
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
        """Take what the caller gave as payloads; nothing is read yet.

        Args:
            payloads: The input.
            wanted: Says whether an item may be read now; `wake` is called when that has changed.
            give: Takes the next item.
            ended: Hears that reading has ended, and of the input's own error if that is why.
            cancelled: Hears that the reader was cancelled from without.
            clock: Tells how long reading holds the event loop.
            skim: Is given a sync input first, and gives back what it has left of it.

        Raises:
            InvalidRequestError: It cannot be iterated, or is itself one payload.
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
        self._room = Bell()
        self._stopped = Bell()
        self.is_waiting: bool = False
        """Whether the reader waits to be woken."""
        self.is_silent: bool = False
        """Whether the reader waits for the input."""
        self.is_stopping: bool = False
        """Whether nothing more is to be read."""
        self.has_ended: bool = False
        """Whether nothing more will be."""
        self.clean_up_error: BaseException | None = None
        """What the input raised when it was interrupted or closed."""

    async def read(self) -> None:
        """Hand items over until there are no more or it is stopped; then close the input."""
        try:
            await self._read()
        except GeneratorExit:  # the event loop is gone; there is nobody to tell
            raise
        except BaseException:
            self._cancelled()
            raise
        self._end(None)

    def wake(self) -> None:
        """Go on reading, if the reader waits for room."""
        self.is_waiting = False
        self._room.ring()

    def stop(self) -> None:
        """Read nothing more, and interrupt the wait for an item: there may never be another."""
        self.is_stopping = True
        if self.is_silent and self._scope is not None:
            self._scope.cancel()
        self.wake()
        self._stopped.ring()

    def give_up(self) -> None:
        """Take reading for ended, though the input has not come back."""
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
        """Read without awaiting; but give the loop its share.

        Input that is slow, a query or a file for each item, holds the loop, and with it the answers
        to what is under way: their timeouts pass while they lie unread in the socket. Each item is
        handed over before the pause, which is when its request gets written.
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
        """Wait for `wake` or `stop`, and for nothing else."""
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

        Unlike a generator, an async one cannot clean up after itself when it is dropped.
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
        """Tell of an error of the input; what it raises when it is interrupted is clean-up."""
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
    """Return an error of a clean-up without the `GeneratorExit` that began it, if anything is left.

    A task group around a `yield` takes that for an error of its block, and raises it in a group.
    """
    if isinstance(error, BaseExceptionGroup):
        return error.split(GeneratorExit)[1]
    return error


def checked(payloads: object) -> AsyncIterable[object] | Iterable[object]:
    """Return what the caller gave as payloads, if it is many.

    Raises:
        InvalidRequestError: It cannot be iterated, or is itself one payload.
    """
    if isinstance(payloads, str | bytes | bytearray | memoryview | Mapping | UserString):
        raise InvalidRequestError(
            f"payloads must be an iterable of payloads, not one {type(payloads).__name__}"
        )
    if isinstance(payloads, AsyncIterable | Iterable):
        return payloads
    raise InvalidRequestError(
        f"payloads must be an iterable or an async iterable, not {type(payloads).__name__}"
    )


def length_of(payloads: object) -> int | None:
    """Return how many payloads there are, if they say so before they are read.

    What has a `__len__` need not have a length: a progress bar around a generator and a loader of a
    stream raise, and a range may be longer than Python can say.
    """
    if not isinstance(payloads, Sized):
        return None
    try:
        return len(payloads)
    except Exception:  # noqa: BLE001  # somebody else's code, of which nothing more is needed
        return None
