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
"""Processes an item of the input, with its index, and returns its outcome."""

T = TypeVar("T")

MOST_CALLED = 16
"""The maximum number of workers that are called at once."""

Broke: TypeAlias = Callable[[int, BaseException], None]
"""Called when an item has no outcome because processing it raised."""


class Wakeup:
    """Wakes all current listeners, once; they have to listen again for the next time."""

    __slots__ = ("_make", "event")

    def __init__(self) -> None:
        self.event: anyio.Event | None = None
        """The event listened to; `None` without listeners, which makes waking almost free."""
        self._make: type[anyio.Event] | None = None

    def listen(self) -> anyio.Event:
        """Return the event that is set the next time."""
        if self.event is None:
            if self._make is None:
                # Looking up the class for this event loop takes three times as long as an event.
                self._make = type(anyio.Event())
            self.event = self._make()
        return self.event

    def wake(self) -> None:
        """Wake the listeners."""
        event, self.event = self.event, None
        if event is not None:
            event.set()


def is_cancellation(error: BaseException) -> bool:
    """Return whether the current task is being cancelled, so that the error must be re-raised.

    User code can raise a `CancelledError` although its task is not being cancelled, by awaiting
    another task that was cancelled. Mistaken for a cancellation, it would silently end a reader or
    a worker, and the run would hang or look complete. The difference is whether a scope around the
    task is cancelled.
    """
    if isinstance(error, GeneratorExit):
        return False  # raised by user code; see `is_abandoned`
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(error, BaseExceptionGroup):
        is_one = error.split(cancelled)[1] is None
    else:
        is_one = isinstance(error, cancelled)
    return is_one and anyio.current_effective_deadline() == -math.inf


def current_task() -> int | None:
    """Return the ID of the running task; `None` if there is none."""
    try:
        return anyio.get_current_task().id
    except RuntimeError:  # also the base of anyio's error for no event loop
        return None


def is_abandoned(error: BaseException, task: int | None) -> bool:
    """Return whether the event loop is gone and Python is closing the remains of its task.

    Nothing can be awaited or reported then. User code may raise the same exception in the task
    itself, where it is an error like any other.

    Args:
        error: The exception raised while waiting.
        task: The result of `current_task` when the task began.
    """
    return isinstance(error, GeneratorExit) and current_task() != task


class Workers(Generic[T]):
    """Processes items, at most `concurrency` of them concurrently.

    A worker takes items without waiting as long as there are any, since waking a task is the most
    expensive step here. If there are more, others are called, and each that takes an item calls the
    next. So no thousand workers are started or woken for an input of three items, or for items that
    are done before the second worker starts.

    `_called` counts the workers that were called and have not run yet. With only one at a time, a
    hundred items that arrive together would take as many turns of the event loop, each with a look
    at the sockets. With many, those that find nothing to do would cost more than the work. So their
    number doubles with each that finds an item, and is one again after one that does not.
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
        self._called = 0
        self._most_called = 1
        self._group: TaskGroup | None = None
        self._context = contextvars.Context()
        self._event: type[anyio.Event] = anyio.Event

    def start(self, group: TaskGroup) -> None:
        """Start workers in this group from now on."""
        self._group = group
        # Workers see the context variables of the block, no matter which task starts them: the
        # reader's belong to the caller's generator.
        self._context = contextvars.copy_context()
        self._event = type(anyio.Event())  # as `Wakeup` does

    def add(self, index: int, item: object) -> None:
        """Process an item as soon as possible."""
        self._items.append((index, item))
        if self._called < self._most_called:
            self._call()

    def set_concurrency(self, concurrency: int) -> None:
        """Change the concurrency; surplus workers finish their current items first."""
        self._concurrency = concurrency
        self._call()

    def is_hungry(self) -> bool:
        """Return whether a worker is available and there is no item for it."""
        return not self._items and self._busy < self._concurrency

    def drop(self) -> list[int]:
        """Drop the items that no worker has taken; return their indexes."""
        dropped = [index for index, _ in self._items]
        self._items.clear()
        return dropped

    def dismiss(self) -> None:
        """Let each worker end after its current item."""
        self._concurrency = 0
        idle, self._idle = self._idle, []
        self._called += len(idle)
        for called in idle:
            called.set()

    def leave(self) -> None:
        """Cancel the items in progress, and drop the others."""
        self._items.clear()
        if self._group is not None:
            self._group.cancel_scope.cancel()
            self._group = None

    def _call(self) -> None:
        """Call workers for the items that wait."""
        most = min(self._most_called, len(self._items), self._concurrency - self._busy)
        while self._called < most:
            if self._idle:
                self._idle.pop().set()
            elif self._group is not None:
                self._context.copy().run(self._group.start_soon, self._work_off)
            else:
                return
            self._called += 1

    def _failed(self, index: int, error: BaseException) -> None:
        """Report that processing an item raised."""
        if error.__traceback__ is not None:
            # Drop the frame of the worker, which lives on and will hold other payloads.
            error.__traceback__ = error.__traceback__.tb_next
        self._busy -= 1
        self._broke(index, error)

    async def _work_off(self) -> None:
        item: object
        outcome: T | None
        items, work, done = self._items, self._work, self._done
        task = current_task()
        try:
            while True:
                self._called -= 1
                self._most_called = min(2 * self._most_called, MOST_CALLED) if items else 1
                while items and self._busy < self._concurrency:
                    index, item = items.popleft()
                    self._busy += 1
                    if items and self._called < self._most_called:
                        self._call()
                    try:
                        outcome = await work(index, item)
                    except BaseException as error:
                        item = None
                        if is_abandoned(error, task) or is_cancellation(error):
                            raise
                        self._failed(index, error)
                    else:
                        self._busy -= 1
                        done(index, outcome)
                if self._busy + self._called + len(self._idle) >= self._concurrency:
                    return
                item = outcome = None  # an idle worker must not keep a payload alive
                called = self._event()
                self._idle.append(called)
                await called.wait()
        except GeneratorExit:  # the event loop is gone; nothing can be reported
            raise
        except BaseException:
            self._cancelled()
            raise
