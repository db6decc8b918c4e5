"""The recorder of a map: what is read waits for its intent, and what has ended for its commit."""

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from asyncinvoke._clock import Clock
from asyncinvoke._engine.journal import Changed, Journal
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.recording import Ends, Prepare, Prepared
from asyncinvoke._journal.comparing import can_be_read_twice, differing_items, digest, groups
from asyncinvoke._journal.deciding import (
    Decided,
    Seen,
    decide_found,
    decide_fresh,
    left_outcome,
)
from asyncinvoke._journal.identity import SHOWN, changed_items
from asyncinvoke._journal.opening import explained
from asyncinvoke._journal.store import Batch, Store
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke.errors import AsyncInvokeError, JournalError, JournalMismatchError

PAUSE = 0.01
"""How long after a commit the next one comes, in seconds, unless somebody waits for it. Without the
pause, a commit of few records would follow the other, each as dear as one of many."""

LEAST_GROUP = 16
"""Intents are written in groups of so many at least."""

MOST_GROUP = 4096
"""And of so many at most: what is only skipped comes in such groups."""

MOST_BYTES = 8 << 20
"""A group is complete once its payloads hold so many bytes."""

SAMPLE_EVERY = 1.0
"""How often the run is sampled, in seconds."""

Sample = Callable[[], tuple[Any, ...]]
"""Returns what is in flight, waiting, the limit, the rate, and the throttles by reason as JSON."""


class JournalRecorder:
    """Records a map in a journal.

    One task writes. It takes all that waits, and commits it in a worker thread; then what the
    commit covered is let go: items to the workers, outcomes to the consumer. Then it pauses, until
    `PAUSE` has passed since the commit or somebody waits: a worker for an item, or the consumer
    while nothing else is under way.

    Items are read ahead in groups, as many as were taken during the last commit, so that in a
    steady state no worker waits for the disk: while the intents of one group are written, the
    workers take from the one before.

    Args:
        journal: Where it is recorded, and what is run again.
        identity: What must be the same for the run to be continued.
        shared: Where items go that have no request of their own.
        keyed: Whether items are known by keys.
        sample: Samples the run, if it is to be sampled.
        clock: Tells the time.
    """

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
        self._ends: Ends | None = None
        self._reads: deque[Prepared] = deque()
        self._again: list[Prepared] = []
        self._bytes = 0
        self._ended: list[tuple[Prepared, Outcome[Any]]] = []
        self._notes: dict[str, object] = {}
        self._open: dict[int, Prepared] = {}
        """Items that have their intents and no outcome."""
        self._group = LEAST_GROUP
        self._taken = 0
        self._wanted: anyio.Event | None = None
        self._is_pausing = False
        self._read = 0
        self._is_all_read = False
        self._is_refusing = False
        self._failed: AsyncInvokeError | None = None
        self._sampled = clock.monotonic()
        self._succeeded = self._failures = 0

    # What the map calls.

    async def open(self, payloads: object, prepare: Prepare) -> None:
        """Open the journal, and compare it with the input where that can be read twice."""
        store = self._store
        try:
            await self._in_thread(store.open, self._identity, self._journal.notes)
            if store.known and can_be_read_twice(payloads):
                await self._compare(payloads, prepare)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._in_thread(store.abandon)
            raise

    async def _compare(self, payloads: Iterable[object], prepare: Prepare) -> None:
        """Read the input once before anything is sent, and compare it with what is recorded.

        Raises:
            JournalMismatchError: It is another one.
        """
        if self._keyed and self._journal.changed is not Changed.REFUSE:
            return
        differing: list[int | str] = []
        count = read = 0
        most = None if self._keyed else self._store.known
        for reached, group in groups(payloads, prepare, most=most):
            read = reached
            names = await self._in_thread(differing_items, self._store, group, self._shared)
            count += len(names)
            differing += names[: SHOWN - len(differing)]
        found = changed_items(differing, of=count) if count else ()
        if not self._keyed and read < self._store.known:
            found += (self._too_short(read),)
        if found:
            raise self._mismatch(found)

    def _too_short(self, count: int) -> str:
        return f"the input has {count:,} items, and had {self._store.known:,} or more"

    def connect(self, ends: Ends) -> None:
        """Say what to call from now on."""
        self._ends = ends
        ends.look_ahead(2 * self._group)

    def read(self, prepared: Prepared) -> None:
        """Take an item that was read; it is sent once its intent is recorded."""
        assert self._ends is not None  # noqa: S101  # `connect` was called
        self._read += 1
        if self._failed is not None or self._is_refusing:
            self._ends.dropped(prepared.index)
        elif self._keyed and prepared.key is None:
            self._ends.work(prepared)  # it has no name, and has failed for that
        else:
            self._reads.append(prepared)
            self._call()

    def all_read(self, count: int) -> AsyncInvokeError | None:
        """Hear that the input has ended by itself; return what is wrong with that, if anything."""
        self._is_all_read = True
        if not self._keyed and count < self._store.known:
            return self._mismatch((self._too_short(count),))
        return None

    def ended(self, index: int, outcome: Outcome[Any]) -> None:
        """Take the outcome of an item; it is handed out once it is recorded."""
        prepared = self._open.get(index)
        if outcome.error is None:
            self._succeeded += 1
        else:
            self._failures += 1
        if self._failed is not None or prepared is None:
            assert self._ends is not None  # noqa: S101  # `connect` was called
            self._ends.hand_out(index, outcome)
            return
        self._ended.append((prepared, outcome))
        self._call()

    def note(self, name: str, value: object) -> None:
        """Keep a note with the next commit."""
        self._notes[name] = value

    def mark(self, prepared: Prepared) -> None:
        """Note that the item's first request is sent now."""
        prepared.is_sent = True
        if prepared.row >= 0:
            self._store.set_mark(prepared.row)

    def unmark(self, prepared: Prepared) -> None:
        """Note that whatever was sent of the item surely did not run."""
        prepared.is_sent = False
        if prepared.row >= 0:
            self._store.unset_mark(prepared.row)

    async def write(self) -> None:
        """Record what comes, until it is cancelled or nothing can be recorded any more."""
        try:
            while self._failed is None:
                await self._wait()
                await self._commit()
        except JournalError as error:
            self._give_up(error)

    async def close(self) -> AsyncInvokeError | None:
        """Record what has ended and what was left, and close; return what went wrong, if it did."""
        with anyio.CancelScope(shield=True):
            failed: JournalError | None = await self._in_thread(self._finish)
        self._ends = None
        return failed

    # The one task that writes.

    async def _wait(self) -> None:
        """Wait until there is something to record, and then for more of it, if nobody waits."""
        if not self._has_work():
            self._wanted = anyio.Event()
            with anyio.move_on_after(SAMPLE_EVERY):
                await self._wanted.wait()
            self._wanted = None
        if self._is_urgent():
            return
        self._is_pausing = True
        self._wanted = anyio.Event()
        with anyio.move_on_after(PAUSE):
            await self._wanted.wait()
        self._is_pausing, self._wanted = False, None

    def _call(self) -> None:
        """Call the writer, if it waits for anything to do, or for something urgent."""
        wanted = self._wanted
        if wanted is not None and (not self._is_pausing or self._is_urgent()):
            wanted.set()

    def _has_work(self) -> bool:
        return bool(self._reads or self._ended or self._again)

    def _is_urgent(self) -> bool:
        ends = self._ends
        assert ends is not None  # noqa: S101  # `connect` was called
        if self._reads or self._again:
            return len(self._reads) >= 2 * self._group or ends.is_hungry()
        return bool(self._ended) and ends.is_idle()

    async def _commit(self) -> None:
        reads = self._next_group()
        batch = Batch(again=self._again, ended=self._ended, notes=self._notes)
        self._again, self._ended, self._notes = [], [], {}
        now = self._clock.monotonic()
        if self._sample is not None and now - self._sampled >= SAMPLE_EVERY:
            self._sampled = now
            batch.sample = (self._succeeded, self._failures, *self._sample())
        if not (reads or batch.again or batch.ended or batch.notes or batch.sample):
            return
        done: list[Decided] = []
        try:
            await self._in_thread(self._record, reads, batch, done)
        except BaseException:
            if not done:  # it was cancelled before it began, or could not be recorded
                self._reads.extendleft(reversed(reads))
                self._again, self._ended = batch.again + self._again, batch.ended + self._ended
                self._notes = {**batch.notes, **self._notes}
            raise
        was_hungry = self._ends is not None and self._ends.is_hungry()
        self._let_go(batch, done[0])
        self._look_ahead(len(reads), done[0], len(batch.ended), was_hungry=was_hungry)

    def _next_group(self) -> list[Prepared]:
        reads: list[Prepared] = []
        size = 0
        while self._reads and size < MOST_BYTES:
            reads.append(self._reads.popleft())
            size += len(reads[-1].body)
        return reads

    def _record(self, reads: list[Prepared], batch: Batch, done: list[Decided]) -> None:
        """Decide about what was read, and commit all of it; in the worker thread."""
        decided, store = Decided(), self._store
        digest(reads, self._shared)
        try:
            found, fresh = store.look_up(reads)
            decide_found(found, self._journal, self._seen, decided)
            decide_fresh(fresh, store.lost, self._journal, self._seen, decided)
            if decided.differing:
                decided.drop_all_but_differing(reads)
            batch.reads = decided.fresh
            batch.again = [*batch.again, *decided.again]
            store.commit(replace(batch, ended=[*batch.ended, *decided.lost]))
            decided.outcomes = store.outcomes([*decided.replayed, *decided.asked])
        except sqlite3.Error as error:
            raise explained(store.path, error) from None
        done.append(decided)

    def _let_go(self, batch: Batch, decided: Decided) -> None:
        """Let go what is recorded: outcomes to the consumer, items to the workers."""
        ends = self._ends
        if ends is None:
            return  # the block was left meanwhile, and nobody is there to take it
        for prepared, outcome in batch.ended:
            del self._open[prepared.index]
            if self._seen is not None and prepared.key is not None:
                self._seen.add(prepared.row)
                self._seen.open.pop(prepared.key, None)
            ends.hand_out(prepared.index, outcome)
        for prepared in decided.repeated:
            prepared.is_sent = True  # it has its mark already, and its intent
        for prepared in (*batch.reads, *batch.again, *decided.repeated):
            self._open[prepared.index] = prepared
            ends.work(prepared)
        for prepared, outcome in decided.lost:
            if self._seen is not None and prepared.key is not None:
                self._seen.open.pop(prepared.key, None)
            ends.made(prepared.index, outcome)
        for prepared, outcome in decided.twice:
            ends.made(prepared.index, replace(outcome, started=self._clock.time()))
        self._replay(decided)
        for prepared in decided.skipped:
            ends.found(prepared.index, None)
        for prepared in decided.dropped:
            ends.dropped(prepared.index)
        if decided.differing:
            self._is_refusing = True
            names = [each.key or each.index for each in decided.differing]
            ends.failed(self._mismatch(changed_items(names)))

    def _replay(self, decided: Decided) -> None:
        ends, journal = self._ends, self._journal
        assert ends is not None  # noqa: S101  # `_let_go` has looked
        replays = journal.replay and journal.results
        asked = {id(each.prepared) for each in decided.asked}
        for prepared, outcome in decided.outcomes:
            if id(prepared) in asked and callable(journal.redrive):
                try:
                    again = journal.redrive(outcome)
                except Exception as error:  # noqa: BLE001  # it is the caller's
                    ends.dropped(prepared.index)
                    ends.failed(error)
                    continue
                if again:
                    prepared.take = outcome.take + 1
                    self._again.append(prepared)
                    continue
            ends.found(prepared.index, outcome if replays else None)

    def _look_ahead(self, reads: int, decided: Decided, ended: int, *, was_hungry: bool) -> None:
        """Decide how far ahead is read: two groups of what is taken while one is written."""
        ends = self._ends
        if ends is None or not reads:
            return
        group = max(LEAST_GROUP, ended)
        if reads >= self._group and (was_hungry or 2 * len(decided.fresh) < reads):
            group = max(group, 2 * self._group)
        group = min(group, MOST_GROUP)
        if not 0.75 * self._group <= group <= self._group:
            self._group = group
            ends.look_ahead(2 * group)

    # When nothing can be recorded any more, and at the end.

    def _give_up(self, error: JournalError) -> None:
        """Start nothing more; what has ended, and what will, is handed out unrecorded."""
        self._failed = error
        ends = self._ends
        if ends is None:
            return
        for prepared, outcome in self._ended:
            ends.hand_out(prepared.index, outcome)
        for prepared in (*self._reads, *self._again):
            ends.dropped(prepared.index)
        self._ended = []
        self._again = []
        self._reads.clear()
        ends.failed(error)

    def _finish(self) -> JournalError | None:
        """Record what is left, and close; in the worker thread."""
        store = self._store
        if self._failed is not None:
            store.abandon()
            return None  # it was told
        for prepared, _ in self._ended:
            self._open.pop(prepared.index, None)
        # Nobody waits for what is open now. What was sent may have run; the rest surely did not.
        sent = [each for each in self._open.values() if each.is_sent]
        left = [each for each in self._open.values() if not each.is_sent]
        now = self._clock.time()
        ended = [*self._ended, *((each, left_outcome(each, now)) for each in sent)]
        is_complete = self._is_all_read and not (sent or left or self._reads or self._again)
        try:
            store.commit(Batch(ended=ended, left=left, notes=self._notes))
            store.close(
                "complete" if is_complete else "left",
                total=self._read if self._is_all_read else None,
            )
        except JournalError as error:
            return error
        finally:
            store.abandon()
        return None

    def _mismatch(self, found: tuple[str, ...]) -> JournalMismatchError:
        return JournalMismatchError(
            f"{self._store.path}: the input is not that of the run: {'; '.join(found)}",
            differences=found,
        )

    async def _in_thread(self, function: Callable[..., Any], *values: object) -> Any:
        return await anyio.to_thread.run_sync(function, *values, limiter=self._thread)
