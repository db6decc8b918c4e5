"""The task that writes a session: it commits what is pending, then releases what the commit covered."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeAlias

import anyio

from asyncinvoke._engine.journal import Journal
from asyncinvoke._engine.prepared import Prepared
from asyncinvoke._engine.recording import MapCallbacks
from asyncinvoke._journal.comparing import Comparison, digest
from asyncinvoke._journal.damage import FAILED, explained
from asyncinvoke._journal.deciding import Decided, decide_found, decide_fresh
from asyncinvoke._journal.identity import SeenRows, changed_items
from asyncinvoke._journal.pending import LEAST_GROUP, CommitBatch, Pending, group_size
from asyncinvoke._journal.releasing import Releaser
from asyncinvoke._journal.store import Store
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke.errors import JournalError

PAUSE = 0.01
"""The pause between commits, in seconds, unless a task is waiting for one. Without it, there would
be many commits of few records, each as expensive as a commit of many."""

SAMPLE_EVERY = 1.0
"""How often the run is sampled, in seconds."""

TakeSample: TypeAlias = Callable[[], tuple[Any, ...]]
"""Returns the columns of a sample, without its session and time."""


class Writer:
    """Commits what is pending, while the map goes on.

    A single task writes. It collects everything pending, and commits it in a worker thread. Then it
    releases what the commit covered: items to the workers, outcomes to the consumer. Then it pauses
    until `PAUSE` has passed since the commit, or until a task is waiting: a worker for an item, or
    the consumer while nothing else is in progress.

    Items are read ahead in groups, as many as were taken during the last commit, so in a steady
    state no worker waits for the disk: while the intents of one group are written, the workers take
    items from the previous one.

    Args:
        store: The journal.
        pending: The items of the session.
        callbacks: The callbacks of the map.
        comparison: Compares the input with the recorded one.
        journal: The journal options.
        shared: The request parameters of items without a request of their own.
        seen: The keys of this session, in a run with keys.
        sample: Samples the run, if wanted.
        in_thread: Calls a blocking function in the journal's thread.
        time: Returns the time, in seconds since the epoch.
        monotonic: Returns the time of a monotonic clock, in seconds.
    """

    def __init__(
        self,
        store: Store,
        pending: Pending,
        callbacks: MapCallbacks,
        *,
        comparison: Comparison,
        journal: Journal,
        shared: InvokeParameters,
        seen: SeenRows | None,
        sample: TakeSample | None,
        in_thread: Callable[..., Awaitable[Any]],
        time: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._pending = pending
        self._callbacks = callbacks
        self._comparison = comparison
        self._journal = journal
        self._shared = shared
        self._seen = seen
        self._sample = sample
        self._in_thread = in_thread
        self._monotonic = monotonic
        self._releaser = Releaser(callbacks, journal, pending, seen, time=time)
        self._group = LEAST_GROUP
        self._committed = -math.inf
        self._sampled = monotonic()
        self.wanted: anyio.Event | None = None
        """Set by `wake`; `None` while the task is not waiting."""
        self.is_pausing = False
        """Whether only urgent work ends the wait."""

    async def run(self) -> None:
        """Write until cancelled, or until the journal cannot be written."""
        try:
            while self._pending.error is None:
                await self._wait()
                await self._commit()
        except JournalError as error:
            self._give_up(error)

    def wake(self) -> None:
        """Wake the task, which waits for any work or for urgent work."""
        if self.wanted is not None and (not self.is_pausing or self._is_urgent()):
            self.wanted.set()

    async def _wait(self) -> None:
        """Wait until there is something to record, then pause for more unless a task is waiting."""
        if not self._pending:
            self.wanted = anyio.Event()
            with anyio.move_on_after(SAMPLE_EVERY):
                await self.wanted.wait()
            self.wanted = None
        pause = self._committed + PAUSE - anyio.current_time()
        if pause <= 0 or self._is_urgent():
            return
        self.is_pausing = True
        self.wanted = anyio.Event()
        with anyio.move_on_after(pause):
            await self.wanted.wait()
        self.is_pausing, self.wanted = False, None

    def _is_urgent(self) -> bool:
        callbacks, pending = self._callbacks, self._pending
        if pending.reads or pending.again:
            return len(pending.reads) >= 2 * self._group or callbacks.is_hungry()
        return bool(pending.ended) and callbacks.is_idle()

    async def _commit(self) -> None:
        pending = self._pending
        reads, batch = pending.take()
        batch.sample = self._next_sample()
        done: list[Decided] = []
        try:
            if reads or batch:
                await self._in_thread(self._record, reads, batch, done)
        except BaseException:
            if not done:  # cancelled before it began, or the commit failed
                pending.put_back(reads, batch)
            raise
        finally:
            pending.hold_again(batch, is_proven=self._store.is_proven)
        if not done:
            return
        self._committed = anyio.current_time()
        was_hungry = self._callbacks.is_hungry()
        self._release(batch, done[0])
        pending.is_taken = False  # it stays if an interrupt has left items unreleased
        if reads:
            group = group_size(
                self._group,
                read=len(reads),
                fresh=len(done[0].fresh),
                ended=len(batch.ended),
                was_hungry=was_hungry,
                replayed=done[0].size,
            )
            self._look_ahead(group)

    def _next_sample(self) -> tuple[Any, ...] | None:
        """Return a sample if one is due and the input is known to be that of the run."""
        now = self._monotonic()
        if self._sample is None or self._pending.held is not None:
            return None
        if now - self._sampled < SAMPLE_EVERY:
            return None
        self._sampled = now
        return self._sample()

    def _record(self, reads: list[Prepared], batch: CommitBatch, done: list[Decided]) -> None:
        """Decide about the items read, and commit everything; runs in the worker thread."""
        decided, store = Decided(), self._store
        digest(reads, self._shared)
        try:
            found, fresh = store.lookups.look_up(reads)
            decide_found(found, self._journal, self._seen, decided)
            decide_fresh(fresh, store.left.lost, self._journal, self._seen, decided)
            if decided.differing:
                decided.drop_all_but_differing(reads)
            store.commit(
                replace(
                    batch,
                    reads=decided.fresh,
                    again=[*batch.again, *decided.again],
                    ended=[*batch.ended, *(each.sent for each in decided.lost)],
                    read=self._pending.read,
                )
            )
            decided.outcomes = store.outcomes([*decided.replayed, *decided.asked])
        except FAILED as error:
            raise explained(store.path, error) from None
        done.append(decided)

    def _release(self, batch: CommitBatch, decided: Decided) -> None:
        self._releaser.release(batch, decided)
        if decided.differing:
            # Items read ahead are from the wrong input too.
            self._pending.is_refused = True
            self._drop()
            names = [each.key or each.index for each in decided.differing]
            self._callbacks.failed(self._comparison.mismatch(changed_items(names)))

    def _look_ahead(self, group: int) -> None:
        if group != self._group:
            self._group = group
            self._callbacks.look_ahead(2 * group)

    def _give_up(self, error: JournalError) -> None:
        """Start no more items; current and later outcomes are released unrecorded."""
        pending = self._pending
        pending.error = error
        ended, pending.ended = pending.ended, []
        self._callbacks.hand_out([prepared.outcome for prepared in ended])
        self._drop()
        self._callbacks.failed(error)

    def _drop(self) -> None:
        """Drop items without a committed intent, so that they do not run."""
        for prepared in self._pending.drop():
            self._callbacks.dropped(prepared.index)
