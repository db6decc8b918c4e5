"""The tasks of a map: how each is woken, how it notices cancellation, and the workers."""

import contextvars
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeAlias, TypeVar

import anyio
from anyio.abc import TaskGroup

from asyncinvoke._engine.outcome import Outcome

Work: TypeAlias = Callable[[int, object], Awaitable[Outcome[Any]]]
"""Turns an item of the input, with its index, into its outcome."""

T = TypeVar("T")

Broke: TypeAlias = Callable[[int, BaseException], None]
"""Hears that an item has no outcome: what works on it raised."""


class Bell:
    """Wakes all who listen at that moment; to hear it again they listen again."""

    __slots__ = ("_make", "heard")

    def __init__(self) -> None:
        self.heard: anyio.Event | None = None
        """What is listened to; `None` where nobody does, so that ringing costs next to nothing."""
        self._make: type[anyio.Event] | None = None

    def listen(self) -> anyio.Event:
        """Return the event that is set when the bell rings next."""
        if self.heard is None:
            if self._make is None:
                # Finding the class for this event loop costs three times as much as an event.
                self._make = type(anyio.Event())
            self.heard = self._make()
        return self.heard

    def ring(self) -> None:
        """Wake those who listen."""
        heard, self.heard = self.heard, None
        if heard is not None:
            heard.set()


def is_cancellation(error: BaseException) -> bool:
    """Return whether this is the current task being cancelled, and so has to be raised again.

    Code of the caller's can raise a `CancelledError` though nobody cancels the task that it runs
    in: by waiting for another task that was cancelled. Taken for a cancellation, it would end a
    reader or a worker without a word, and the run would hang or look complete. What tells them
    apart is whether a scope around the task is cancelled.
    """
    if isinstance(error, GeneratorExit):
        return False  # of the caller's; see `is_abandoned`
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(error, BaseExceptionGroup):
        is_one = error.split(cancelled)[1] is None
    else:
        is_one = isinstance(error, cancelled)
    return is_one and anyio.current_effective_deadline() == -math.inf


def current_task() -> int | None:
    """Return what the running task is known by; `None` where none is."""
    try:
        return anyio.get_current_task().id
    except RuntimeError:  # anyio's error for no event loop is one, too
        return None


def is_abandoned(error: BaseException, task: int | None) -> bool:
    """Return whether the event loop is gone, and Python closes what is left of a task of it.

    Nothing can be awaited any more then, and there is nobody to tell. The same exception may be
    raised by code of the caller's, in the task itself: that is an error like any other.

    Args:
        error: What came out of a wait.
        task: What `current_task` said when the task began.
    """
    return isinstance(error, GeneratorExit) and current_task() != task


class Workers(Generic[T]):
    """Works on the items that it is given, on no more than `concurrency` at once.

    A worker takes the next item without waiting for as long as there is one, for waking a task
    costs more than all else here. A worker that takes an item calls the next one, if there is more
    to do; so a thousand of them are not made, or woken, for an input of three items, or for items
    that are done before the second worker comes. `_is_calling` holds from the call until the worker
    is there: one call at a time.
    """

    def __init__(
        self,
        work: Callable[[int, object], Awaitable[T]],
        *,
        done: Callable[[int, T], None],
        broke: Broke,
        cancelled: Callable[[], None],
    ) -> None:
        self._work = work
        self._done = done
        self._broke = broke
        self._cancelled = cancelled
        self._concurrency = 0
        self._busy = 0
        self._items: deque[tuple[int, object]] = deque()
        self._idle: list[anyio.Event] = []
        self._is_calling = False
        self._group: TaskGroup | None = None
        self._context = contextvars.Context()
        self._event: type[anyio.Event] = anyio.Event

    def start(self, group: TaskGroup) -> None:
        """Hire into this group from now on."""
        self._group = group
        # Workers see the context variables of the block, whoever it is that calls them first: the
        # reader's are those of a generator of the caller's.
        self._context = contextvars.copy_context()
        self._event = type(anyio.Event())  # as `Bell` does

    def add(self, index: int, item: object) -> None:
        """Work on an item as soon as may be."""
        self._items.append((index, item))
        if not self._is_calling:
            self._call()

    def set_concurrency(self, concurrency: int) -> None:
        """Work on so many at once, as soon as those above it are done."""
        self._concurrency = concurrency
        self._call()

    def is_hungry(self) -> bool:
        """Return whether a worker could start on an item, and there is none."""
        return not self._items and self._busy < self._concurrency

    def drop(self) -> list[int]:
        """Forget what nobody works on yet; return which items that was."""
        dropped = [index for index, _ in self._items]
        self._items.clear()
        return dropped

    def leave(self) -> None:
        """Cancel what is under way, and forget what is not."""
        self._items.clear()
        if self._group is not None:
            self._group.cancel_scope.cancel()
            self._group = None

    def _call(self) -> None:
        if self._is_calling or not self._items or self._busy >= self._concurrency:
            return
        if self._idle:
            self._is_calling = True
            self._idle.pop().set()
        elif self._group is not None:
            self._is_calling = True
            self._context.copy().run(self._group.start_soon, self._work_off)

    async def _work_off(self) -> None:
        item: object
        outcome: T | None
        items, work, done = self._items, self._work, self._done
        task = current_task()
        try:
            while True:
                self._is_calling = False
                while items and self._busy < self._concurrency:
                    index, item = items.popleft()
                    self._busy += 1
                    if items and not self._is_calling:
                        self._call()
                    try:
                        outcome = await work(index, item)
                    except BaseException as error:
                        item = None
                        if is_abandoned(error, task) or is_cancellation(error):
                            raise
                        if error.__traceback__ is not None:
                            # Without this frame, which goes on, and will hold other payloads.
                            error.__traceback__ = error.__traceback__.tb_next
                        self._busy -= 1
                        self._broke(index, error)
                    else:
                        self._busy -= 1
                        done(index, outcome)
                if self._busy + len(self._idle) >= self._concurrency:
                    return
                item = outcome = None  # who waits holds on to no payload
                called = self._event()
                self._idle.append(called)
                await called.wait()
        except GeneratorExit:  # the event loop is gone; there is nobody to tell
            raise
        except BaseException:
            self._cancelled()
            raise
