"""The recorder of a map: opens its journal, accepts its items and outcomes, and closes it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from asyncinvoke._clock import Clock
from asyncinvoke._engine.journal import Journal
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.prepared import Prepared
from asyncinvoke._engine.recording import MapCallbacks, Prepare, Write
from asyncinvoke._journal.comparing import Comparison, second_reading
from asyncinvoke._journal.identity import SeenRows
from asyncinvoke._journal.pending import LEAST_GROUP, Pending
from asyncinvoke._journal.skimming import Skimmer
from asyncinvoke._journal.store import Store
from asyncinvoke._journal.writing import TakeSample, Writer
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke.errors import AsyncInvokeError, JournalError


class JournalRecorder:
    """Records a map in a journal.

    Its methods are called by the map, on its event loop. They only collect what is pending; the
    task that runs `write` records it.

    The life of an item in the journal: it is read, and waits. A commit looks it up; if it is new,
    the commit writes its intent, a row of `flight`. Only then may a worker take it. Just before its
    first request is sent, the byte of its row in the marks is set. So if the process dies, an item
    without an intent or without a mark certainly did not run, and an item with both may have run. A
    mark costs one small write instead of a commit, but it is not synced: if the machine crashes, an
    intent alone means that the item may have run. While a throttled item waits for its next
    attempt, its mark is removed. When the item has ended, its outcome waits. A commit writes its
    row of `item` and deletes its intent in one transaction. Only then does the consumer get the
    outcome, so nothing is done with an outcome whose item would run again. An interrupt may come
    between a commit and the release of what it covered; `close` looks up what is recorded.

    Args:
        journal: The journal options: where to record, and which items to run again.
        identity: The settings that must match for the run to be continued.
        shared: The request parameters of items without a request of their own.
        keyed: Whether items are identified by keys.
        sample: Samples the run, if wanted: returns the attempts in flight, waiters, limit, rate,
            and throttles by reason as JSON.
        clock: The source of time.
    """

    _callbacks: MapCallbacks
    _writer: Writer
    # These two are set from `connect` to `close`.

    def __init__(
        self,
        journal: Journal,
        *,
        identity: Mapping[str, object],
        shared: InvokeParameters,
        keyed: bool,
        sample: TakeSample | None,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._identity = identity
        self._shared = shared
        self._sample = sample
        self._clock = clock
        self._keyed = keyed
        self._store = Store(Path(journal.path), keyed=keyed, results=journal.results)
        self._comparison = Comparison(self._store, journal, shared)
        self._pending = Pending()
        self._seen = SeenRows() if keyed else None
        self._thread = anyio.CapacityLimiter(1)
        self._lock = threading.Lock()
        self._is_connected = False
        self._is_all_read = False
        self._succeeded = self._failures = 0

    @property
    def keyed(self) -> bool:
        """Whether items are identified by keys."""
        return self._keyed

    async def open(self, payloads: object, prepare: Prepare) -> None:
        """Open the journal, and compare it with the input if that can be read twice."""
        store, comparison = self._store, self._comparison
        try:
            await self._in_thread(store.open, self._identity)
            again = second_reading(payloads) if store.left.known else None
            if again is not None:
                await comparison.compare(again, prepare, in_thread=self._in_thread)
            if store.left.known and again is None and comparison.may_differ:
                self._pending.held = dict(self._journal.notes)
            notes = self._journal.notes if self._pending.held is None else None
            await self._in_thread(store.begin, notes)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._in_thread(store.retract)
            raise

    async def skim(
        self,
        items: Iterator[object],
        write: Write,
        *,
        skipped: Callable[[int], None],
        is_over: Callable[[], bool],
    ) -> Iterator[object]:
        """Skip the leading items of the input that have all ended."""

        def skip(first: int, count: int) -> None:
            self._pending.read += count
            if self._seen is not None:
                self._seen.add_all(first, count)
            skipped(count)

        skimmer = Skimmer(
            self._store,
            self._journal,
            self._shared,
            in_thread=self._in_thread,
            monotonic=self._clock.monotonic,
        )
        return await skimmer.skim(items, write, skipped=skip, is_over=is_over)

    def connect(self, callbacks: MapCallbacks) -> None:
        """Set the callbacks to use from now on."""
        sample = None if self._sample is None else self._sampled
        self._callbacks = callbacks
        self._writer = Writer(
            self._store,
            self._pending,
            callbacks,
            comparison=self._comparison,
            journal=self._journal,
            shared=self._shared,
            seen=self._seen,
            sample=sample,
            in_thread=self._in_thread,
            time=self._clock.time,
            monotonic=self._clock.monotonic,
        )
        self._is_connected = True
        callbacks.look_ahead(2 * LEAST_GROUP)

    def read(self, prepared: Prepared) -> None:
        """Accept an item that was read; it is sent once its intent is committed."""
        pending = self._pending
        pending.read += 1
        if pending.error is not None or pending.is_refused:
            self._callbacks.dropped(prepared.index)
        else:
            pending.reads.append(prepared)
            if self._writer.wanted is not None:
                self._writer.wake()

    def all_read(self, count: int) -> AsyncInvokeError | None:
        """Handle the end of the input; return the error if it ended too early."""
        if self._comparison.is_too_short(count):
            self._pending.is_refused = True
            return self._comparison.too_short(count)
        self._is_all_read = not self._pending.is_refused
        return None

    def ended(self, index: int, outcome: Outcome[Any]) -> None:
        """Accept the outcome of an item; it is released once it is committed."""
        pending = self._pending
        prepared = pending.open.get(index)
        if outcome.error is None:
            self._succeeded += 1
        else:
            self._failures += 1
        if pending.error is not None or prepared is None:
            self._callbacks.hand_out([outcome])
            return
        prepared.outcome = outcome
        pending.ended.append(prepared)
        writer = self._writer
        # An end is urgent only if it leaves a worker without work, as does the last one in progress.
        # Asking that here spares nearly all items two calls.
        if writer.wanted is not None and (not writer.is_pausing or self._callbacks.is_hungry()):
            writer.wake()

    def note(self, name: str, value: object) -> None:
        """Store a note with the next commit, or once the input is known to be that of the run."""
        if self._pending.held is not None:
            self._pending.held[name] = value
            return
        self._pending.notes[name] = value
        if self._is_connected:
            self._writer.wake()

    def mark(self, row: int) -> None:
        """Mark a row: a request with its item is about to be sent."""
        self._store.set_mark(row)

    def unmark(self, row: int) -> None:
        """Unmark a row: its item certainly has not run so far."""
        self._store.unset_mark(row)

    async def write(self) -> None:
        """Write to the journal until cancelled, or until the journal cannot be written."""
        await self._writer.run()

    async def close(self) -> AsyncInvokeError | None:
        """Record what has ended or is still open, and close; return the error, if any."""
        with anyio.CancelScope(shield=True):
            failed: JournalError | None = await self._in_thread(self._finish)
        if self._is_connected:
            # Breaks the reference cycle between the map and its recorder.
            self._is_connected = False
            del self._callbacks, self._writer
        return failed

    def _finish(self) -> JournalError | None:
        """Record the rest, and close; runs in the worker thread."""
        pending = self._pending
        if pending.error is not None:
            self._store.abandon()
            return None  # already reported
        try:
            self._store.finish(
                pending.last(
                    total=pending.read if self._is_all_read else None, now=self._clock.time()
                )
            )
        except JournalError as error:
            return error
        return None

    def _sampled(self) -> tuple[Any, ...]:
        assert self._sample is not None  # noqa: S101  # it was checked
        return (self._succeeded, self._failures, *self._sample())

    async def _in_thread(self, function: Callable[..., Any], *values: object) -> Any:
        """Call a function in a worker thread, or here if the system allows no more threads.

        Otherwise what has ended would not be recorded, and the journal would stay locked.
        """
        has_begun = False

        def alone() -> Any:
            nonlocal has_begun
            has_begun = True
            # A native cancellation of asyncio does not wait for the thread: its call must end first.
            with self._lock:
                return function(*values)

        try:
            return await anyio.to_thread.run_sync(alone, limiter=self._thread)
        except RuntimeError:
            if has_begun:
                raise
        return alone()
