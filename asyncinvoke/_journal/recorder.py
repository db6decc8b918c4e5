"""The recorder of a map: what is read waits for its intent, and what has ended for its commit."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from asyncinvoke._clock import Clock
from asyncinvoke._engine.journal import Journal
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.recording import Ends, Prepare, Prepared, Write
from asyncinvoke._journal.batch import Batch
from asyncinvoke._journal.comparing import digest, second_reading
from asyncinvoke._journal.continuing import Continuing
from asyncinvoke._journal.deciding import (
    Decided,
    Seen,
    decide_found,
    decide_fresh,
    left_outcome,
)
from asyncinvoke._journal.identity import changed_items
from asyncinvoke._journal.letting_go import LettingGo
from asyncinvoke._journal.opening import FAILED, explained
from asyncinvoke._journal.schema import COMPLETE
from asyncinvoke._journal.store import Store
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke.errors import AsyncInvokeError, JournalError

PAUSE = 0.01
"""The pause between commits, in seconds, unless a task is waiting for one. Without it, there would
be many commits of few records, each as expensive as a commit of many."""

LEAST_GROUP = 16
"""The minimum number of intents in a group."""

MOST_GROUP = 4096
"""The maximum number of intents in a group; items that are only skipped come in such groups."""

MOST_BYTES = 8 << 20
"""The size at which a group is complete, in bytes of payload."""

SAMPLE_EVERY = 1.0
"""How often the run is sampled, in seconds."""

Sample = Callable[[], tuple[Any, ...]]
"""Returns the attempts in flight, waiters, limit, rate, and throttles by reason as JSON."""


class JournalRecorder:
    """Records a map in a journal.

    A single task writes. It collects everything pending, and commits it in a worker thread. Then it
    releases what the commit covered: items to the workers, outcomes to the consumer. Then it pauses
    until `PAUSE` has passed since the commit, or until a task is waiting: a worker for an item, or
    the consumer while nothing else is in progress.

    Items are read ahead in groups, as many as were taken during the last commit, so in a steady
    state no worker waits for the disk: while the intents of one group are written, the workers take
    items from the previous one.

    Args:
        journal: The journal options: where to record, and which items to run again.
        identity: The settings that must match for the run to be continued.
        shared: The request parameters of items without a request of their own.
        keyed: Whether items are identified by keys.
        sample: Samples the run, if wanted.
        clock: The source of time.
    """

    _ends: Ends
    _letting_go: LettingGo
    # These two are set from `connect` to `close`.

    def __init__(
        self,
        journal: Journal,
        *,
        identity: Mapping[str, object],
        shared: InvokeParameters,
        keyed: bool,
        sample: Sample | None,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._identity = identity
        self._shared = shared
        self._sample = sample
        self._clock = clock
        self._store = Store(Path(journal.path), keyed=keyed, results=journal.results)
        self._keyed = keyed
        self._seen = Seen() if keyed else None
        self._thread = anyio.CapacityLimiter(1)
        self._continuing = Continuing(
            self._store,
            journal,
            shared,
            in_thread=self._in_thread,
            monotonic=clock.monotonic,
            seen=self._seen,
        )
        self._is_connected = False
        self._reads: deque[Prepared] = deque()
        self._ended: list[tuple[Prepared, Outcome[Any]]] = []
        self._notes: dict[str, object] = {}
        # Notes held back until the input is known to be that of the run.
        self._held: dict[str, object] | None = None
        self._group = LEAST_GROUP
        self._wanted: anyio.Event | None = None
        self._is_pausing = False
        self._committed = -math.inf
        self._read = 0
        self._is_all_read = False
        self._is_refusing = False
        self._failed: AsyncInvokeError | None = None
        self._sampled = clock.monotonic()
        self._succeeded = self._failures = 0

    @property
    def keyed(self) -> bool:
        """Whether items are identified by keys."""
        return self._keyed

    # Called by the map.

    async def open(self, payloads: object, prepare: Prepare) -> None:
        """Open the journal, and compare it with the input if that can be read twice."""
        store = self._store
        try:
            await self._in_thread(store.open, self._identity)
            again = second_reading(payloads) if store.known else None
            if again is not None:
                await self._continuing.compare(again, prepare)
            if store.known and again is None and self._continuing.may_differ:
                self._held = dict(self._journal.notes)
            notes = self._journal.notes if self._held is None else None
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

        def skip(count: int) -> None:
            self._read += count
            skipped(count)

        return await self._continuing.skim(items, write, skipped=skip, is_over=is_over)

    def connect(self, ends: Ends) -> None:
        """Set the callbacks to use from now on."""
        self._ends = ends
        self._letting_go = LettingGo(ends, self._journal, self._seen, time=self._clock.time)
        self._is_connected = True
        ends.look_ahead(2 * self._group)

    def read(self, prepared: Prepared) -> None:
        """Accept an item that was read; it is sent once its intent is committed."""
        self._read += 1
        if self._failed is not None or self._is_refusing:
            self._ends.dropped(prepared.index)
        elif self._keyed and prepared.key is None:
            self._ends.work(prepared)  # it has no key, and has failed because of that
        else:
            self._reads.append(prepared)
            if self._wanted is not None:
                self._call()

    def all_read(self, count: int) -> AsyncInvokeError | None:
        """Handle the end of the input; return the error if it ended too early."""
        if self._continuing.is_too_short(count):
            self._is_refusing = True
            return self._continuing.too_short(count)
        self._is_all_read = not self._is_refusing
        return None

    def ended(self, index: int, outcome: Outcome[Any]) -> None:
        """Accept the outcome of an item; it is released once it is committed."""
        prepared = self._letting_go.open.get(index)
        if outcome.error is None:
            self._succeeded += 1
        else:
            self._failures += 1
        if self._failed is not None or prepared is None:
            self._ends.hand_out([(index, outcome)])
            return
        self._ended.append((prepared, outcome))
        if self._wanted is not None:
            self._call()

    def note(self, name: str, value: object) -> None:
        """Store a note with the next commit, or once the input is known to be that of the run."""
        if self._held is not None:
            self._held[name] = value
            return
        self._notes[name] = value
        if self._wanted is not None:
            self._call()

    def mark(self, prepared: Prepared) -> None:
        """Mark the item: its first request is about to be sent."""
        if prepared.row >= 0:
            self._store.set_mark(prepared.row)
        prepared.is_sent = True  # not before: without its mark it is not sent

    def unmark(self, prepared: Prepared) -> None:
        """Unmark the item: whatever was sent for it certainly did not run."""
        prepared.is_sent = False
        if prepared.row >= 0:
            self._store.unset_mark(prepared.row)

    async def write(self) -> None:
        """Write to the journal until cancelled, or until the journal cannot be written."""
        try:
            while self._failed is None:
                await self._wait()
                await self._commit()
        except JournalError as error:
            self._give_up(error)

    async def close(self) -> AsyncInvokeError | None:
        """Record what has ended or is still open, and close; return the error, if any."""
        with anyio.CancelScope(shield=True):
            failed: JournalError | None = await self._in_thread(self._finish)
        if self._is_connected:
            # Breaks the reference cycle between the map and its recorder.
            self._is_connected = False
            del self._ends, self._letting_go
        return failed

    # The writer task.

    async def _wait(self) -> None:
        """Wait until there is something to record, then pause for more unless a task is waiting."""
        if not self._has_work():
            self._wanted = anyio.Event()
            with anyio.move_on_after(SAMPLE_EVERY):
                await self._wanted.wait()
            self._wanted = None
        pause = self._committed + PAUSE - anyio.current_time()
        if pause <= 0 or self._is_urgent():
            return
        self._is_pausing = True
        self._wanted = anyio.Event()
        with anyio.move_on_after(pause):
            await self._wanted.wait()
        self._is_pausing, self._wanted = False, None

    def _call(self) -> None:
        """Wake the writer, which waits for any work or for urgent work."""
        if self._wanted is not None and (not self._is_pausing or self._is_urgent()):
            self._wanted.set()

    def _has_work(self) -> bool:
        return bool(self._reads or self._ended or self._letting_go.again or self._notes)

    def _is_urgent(self) -> bool:
        ends = self._ends
        if self._reads or self._letting_go.again:
            return len(self._reads) >= 2 * self._group or ends.is_hungry()
        return bool(self._ended) and ends.is_idle()

    async def _commit(self) -> None:
        reads, letting_go = self._next_group(), self._letting_go
        batch = Batch(again=letting_go.again, ended=self._ended, notes=self._notes)
        letting_go.again, self._ended, self._notes = [], [], {}
        held = self._held
        if held is not None:
            self._held = {}
        now = self._clock.monotonic()
        if self._sample is not None and held is None and now - self._sampled >= SAMPLE_EVERY:
            self._sampled = now
            batch.sample = (self._succeeded, self._failures, *self._sample())
        if not (reads or batch):
            return
        done: list[Decided] = []
        try:
            await self._in_thread(self._record, reads, batch, held, done)
        except BaseException:
            self._hold_again(held)
            if not done:  # cancelled before it began, or the commit failed
                self._reads.extendleft(reversed(reads))
                letting_go.again = batch.again + letting_go.again
                self._ended = batch.ended + self._ended
                self._notes = {**batch.notes, **self._notes}
            raise
        self._hold_again(held)
        self._committed = anyio.current_time()
        was_hungry = self._ends.is_hungry()
        self._let_go(batch, done[0])
        self._look_ahead(len(reads), done[0], len(batch.ended), was_hungry=was_hungry)

    def _hold_again(self, held: dict[str, object] | None) -> None:
        """Hold back notes that were not stored, unless the input is proven by now."""
        if held is None:
            return
        since, self._held = self._held or {}, None
        if self._store.is_proven:
            self._notes = {**self._notes, **since}
        else:
            self._held = {**held, **since}

    def _next_group(self) -> list[Prepared]:
        reads: list[Prepared] = []
        size = 0
        while self._reads and size < MOST_BYTES:
            reads.append(self._reads.popleft())
            size += len(reads[-1].body)
        return reads

    def _record(
        self,
        reads: list[Prepared],
        batch: Batch,
        held: dict[str, object] | None,
        done: list[Decided],
    ) -> None:
        """Decide about the items read, and commit everything; runs in the worker thread."""
        decided, store = Decided(), self._store
        digest(reads, self._shared)
        try:
            found, fresh = store.look_up(reads)
            decide_found(found, self._journal, self._seen, decided)
            decide_fresh(fresh, store.lost, self._journal, self._seen, decided)
            if decided.differing:
                decided.drop_all_but_differing(reads)
            whole = replace(
                batch,
                reads=decided.fresh,
                again=[*batch.again, *decided.again],
                ended=[*batch.ended, *((each.sent, each.outcome) for each in decided.lost)],
                read=self._read,
            )
            if held and whole.proves:
                whole.notes = {**held, **whole.notes}
            store.commit(whole)
            decided.outcomes = store.outcomes([*decided.replayed, *decided.asked])
        except FAILED as error:
            raise explained(store.path, error) from None
        done.append(decided)

    def _let_go(self, batch: Batch, decided: Decided) -> None:
        letting_go = self._letting_go
        letting_go.ended(batch.ended)
        letting_go.decided(decided, batch.again)
        if decided.differing:
            # Items read ahead are from the wrong input too.
            self._is_refusing = True
            self._drop()
            names = [each.key or each.index for each in decided.differing]
            self._ends.failed(self._continuing.mismatch(changed_items(names)))

    def _look_ahead(self, reads: int, decided: Decided, ended: int, *, was_hungry: bool) -> None:
        """Set the read-ahead: two groups, each as large as what is taken during one commit."""
        if not reads:
            return
        group = max(LEAST_GROUP, ended)
        if reads >= self._group and (was_hungry or 2 * len(decided.fresh) < reads):
            group = max(group, 2 * self._group)
        group = min(group, MOST_GROUP)
        if not 0.75 * self._group <= group <= self._group:
            self._group = group
            self._ends.look_ahead(2 * group)

    # After a write error, and at the end.

    def _give_up(self, error: JournalError) -> None:
        """Start no more items; current and later outcomes are released unrecorded."""
        self._failed = error
        ended, self._ended = self._ended, []
        self._ends.hand_out((prepared.index, outcome) for prepared, outcome in ended)
        self._drop()
        self._ends.failed(error)

    def _drop(self) -> None:
        """Drop items without a committed intent, so that they do not run."""
        dropped = [*self._reads, *self._letting_go.again]
        self._reads.clear()
        self._letting_go.again = []
        for prepared in dropped:
            self._ends.dropped(prepared.index)

    def _finish(self) -> JournalError | None:
        """Record the rest, and close; runs in the worker thread."""
        store = self._store
        if self._failed is not None:
            store.abandon()
            return None  # already reported
        under_way = dict(self._letting_go.open) if self._is_connected else {}
        for prepared, _ in self._ended:
            under_way.pop(prepared.index, None)
        # Open items have no waiting task. Those sent may have run; the others certainly did not.
        sent = [each for each in under_way.values() if each.is_sent]
        left = [each for each in under_way.values() if not each.is_sent]
        now = self._clock.time()
        ended = [*self._ended, *((each, left_outcome(each, now)) for each in sent)]
        waiting = self._reads or (self._is_connected and self._letting_go.again)
        is_complete = self._is_all_read and not (sent or left or waiting)
        notes = self._notes
        if self._held is not None and is_complete:
            notes = {**self._held, **notes}
        if self._is_refusing:
            notes = {}
        try:
            store.finish(
                Batch(ended=ended, left=left, notes=notes, is_refused=self._is_refusing),
                COMPLETE if is_complete else "left",
                total=self._read if self._is_all_read else None,
            )
        except JournalError as error:
            return error
        return None

    async def _in_thread(self, function: Callable[..., Any], *values: object) -> Any:
        return await anyio.to_thread.run_sync(function, *values, limiter=self._thread)
