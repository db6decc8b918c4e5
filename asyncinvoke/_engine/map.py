"""A map under way: a fixed set of workers, lazy input, bounded outcomes, nothing left behind."""

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Self, TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.source import SyncSource, open_source
from asyncinvoke._model.failure import FailureKind
from asyncinvoke.errors import InvalidRequestError

READ_AHEAD = 16
"""How many items are read, beyond the concurrency, ahead of the consumer."""

Work: TypeAlias = Callable[[int, object], Awaitable[Outcome]]
"""Turns an item of the input, with its index, into its outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStatistics:
    """A moment of a map."""

    concurrency: int
    """How many items may be worked upon at once."""

    read: int
    """Items taken from the input."""

    working: int
    """Items being executed: in flight, or waiting for a permit or a backoff."""

    succeeded: int
    """Outcomes that are `ok`."""

    failed: int
    """Outcomes that are not."""

    buffered: int
    """Outcomes that the consumer has not taken yet."""

    attempts: int
    """Attempts of the items that have their outcome."""

    throttled: int
    """Those of them that were throttled."""


class MapRun:
    """The outcomes of a map, as an async iterator; made by `Invoker.map`.

    Iterating gives one `Outcome` for each item. It raises only what the input itself raised, or the
    caller's own retry policy, after the outcomes of all items read before it.
    """

    def __init__(self, payloads: object, work: Work, *, concurrency: int, ordered: bool) -> None:
        self._source = open_source(payloads)
        self._work = work
        self._concurrency = check_concurrency(concurrency)
        self._ordered = ordered
        self._group: TaskGroup | None = None
        self._reading = anyio.Lock(fast_acquire=True)
        self._workers = 0
        self._working = 0
        self._read = 0
        self._taken = 0
        self._drained = False
        self._cancelled = False
        self._error: Exception | None = None
        self._ready: deque[Outcome] = deque()
        self._early: dict[int, Outcome | None] = {}
        self._next_index = 0
        self._changed = anyio.Event()
        self._room = anyio.Event()
        self._succeeded = self._failed = self._attempts = self._throttled = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        while not self._ready:
            if self._workers == 0:
                if self._cancelled:
                    # The workers met the cancellation first; the consumer is about to.
                    await anyio.lowlevel.checkpoint()
                if self._error is not None:
                    error, self._error = self._error, None
                    raise error
                raise StopAsyncIteration
            if self._changed.is_set():
                self._changed = anyio.Event()
            await self._changed.wait()
        self._taken += 1
        self._room.set()
        return self._ready.popleft()

    def statistics(self) -> MapStatistics:
        """Return a snapshot of how far the map is."""
        return MapStatistics(
            concurrency=self._concurrency,
            read=self._read,
            working=self._working,
            succeeded=self._succeeded,
            failed=self._failed,
            buffered=len(self._ready) + len(self._early),
            attempts=self._attempts,
            throttled=self._throttled,
        )

    def set_concurrency(self, concurrency: int) -> None:
        """Change how many items are worked upon at once, from now on.

        Raises:
            InvalidRequestError: It is not a whole number from 1.
        """
        self._concurrency = check_concurrency(concurrency)
        self._room.set()
        self._hire()

    def stop(self) -> None:
        """Start nothing more; what is in flight still gets its outcome."""
        self._drained = True
        self._source.stop()
        self._room.set()

    def __repr__(self) -> str:
        return (
            f"<MapRun {self._succeeded} succeeded, {self._failed} failed, "
            f"{self._working} working, concurrency {self._concurrency}>"
        )

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[Self]:
        raised: BaseException | None = None
        try:
            async with anyio.create_task_group() as self._group:
                self._hire()
                try:
                    yield self
                except BaseException as error:  # noqa: BLE001  # raised again below, as itself
                    raised = error
                self._group.cancel_scope.cancel()
        finally:
            self._group = None
            self._workers = 0
            self._drained = True
            await self._source.close()
        if raised is not None:
            try:
                raise raised
            finally:
                del raised  # or the error, its traceback and this frame would keep each other alive

    def _hire(self) -> None:
        if self._group is not None and not self._drained and self._workers < self._concurrency:
            self._workers += 1
            self._group.start_soon(self._worker)

    async def _worker(self) -> None:
        try:
            while self._workers <= self._concurrency:
                item = await self._take()
                if item is None:
                    break
                # Workers are hired one by one, so that a short input does not start a thousand.
                self._hire()
                self._working += 1
                try:
                    outcome = await self._work(*item)
                except Exception as error:  # noqa: BLE001  # the caller's own policy may raise
                    self._fail(error)
                    self._put(item[0], None)
                else:
                    self._count(outcome)
                    self._put(item[0], outcome)
                finally:
                    self._working -= 1
        except anyio.get_cancelled_exc_class():
            self._cancelled = True
            raise
        finally:
            self._workers -= 1
            self._changed.set()

    async def _take(self) -> tuple[int, object] | None:
        """Read the next item once the consumer has made room for its outcome."""
        source = self._source
        try:
            if self._has_room and isinstance(source, SyncSource):
                return self._numbered(source.next_nowait()) if self._may_read else None
            # One worker waits for all, or each outcome that is taken would wake every one of them.
            async with self._reading:
                while not (self._has_room or self._drained):
                    self._room = anyio.Event()
                    await self._room.wait()
                return self._numbered(await source.next()) if self._may_read else None
        except StopAsyncIteration:
            self._drained = True
        except Exception as error:  # noqa: BLE001  # the consumer gets it, as itself
            self._fail(error)
        return None

    def _numbered(self, item: object) -> tuple[int, object]:
        index = self._read
        self._read += 1
        return index, item

    @property
    def _has_room(self) -> bool:
        return self._read - self._taken < self._concurrency + READ_AHEAD

    @property
    def _may_read(self) -> bool:
        return not self._drained and self._workers <= self._concurrency

    def _fail(self, error: Exception) -> None:
        self._drained = True
        self._error = self._error or error

    def _count(self, outcome: Outcome) -> None:
        if outcome.ok:
            self._succeeded += 1
        else:
            self._failed += 1
        for attempt in outcome.attempts:
            self._attempts += 1
            self._throttled += attempt.kind is FailureKind.THROTTLED

    def _put(self, index: int, outcome: Outcome | None) -> None:
        """Hand an outcome over, or close its gap in the order if there is none."""
        if self._ordered:
            self._early[index] = outcome
            while self._next_index in self._early:
                due = self._early.pop(self._next_index)
                if due is not None:
                    self._ready.append(due)
                self._next_index += 1
        elif outcome is not None:
            self._ready.append(outcome)
        self._changed.set()


def open_run(
    payloads: object, work: Work, *, concurrency: int, ordered: bool
) -> contextlib.AbstractAsyncContextManager[MapRun]:
    """Check the input and give the context manager that runs it."""
    return MapRun(payloads, work, concurrency=concurrency, ordered=ordered)._running()  # noqa: SLF001


def check_concurrency(concurrency: int) -> int:
    """Return it, if it is a whole number from 1."""
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise InvalidRequestError(f"concurrency {concurrency!r} must be a whole number from 1")
    return concurrency
