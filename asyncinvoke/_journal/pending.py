"""What waits for the next commit of a session, and the batch of records that a commit writes."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from operator import attrgetter
from typing import Any

from asyncinvoke._engine.prepared import Prepared
from asyncinvoke._journal.in_doubt import left_outcome
from asyncinvoke._journal.schema import COMPLETE
from asyncinvoke.errors import JournalError

LEAST_GROUP = 16
"""The minimum number of intents in a group."""

MOST_GROUP = 4096
"""The maximum number of intents in a group; items that are only skipped come in such groups."""

MOST_BYTES = 8 << 20
"""The size at which a group is complete, in bytes of payload."""


_body_of = attrgetter("body")


@dataclass(slots=True)
class CommitBatch:
    """The records of one commit."""

    reads: list[Prepared] = field(default_factory=list)
    """Items not recorded yet: they get rows and intents."""

    again: list[Prepared] = field(default_factory=list)
    """Items that have rows and will run as another take: they get new intents."""

    ended: list[Prepared] = field(default_factory=list)
    """Items that have ended; their outcome is set."""

    read: int = 0
    """The number of items read so far; a smaller total in the journal is out of date."""

    notes: dict[str, object] = field(default_factory=dict)
    """Notes, by name."""

    held: dict[str, object] = field(default_factory=dict)
    """Notes that are stored only if the batch proves the input to be that of the run."""

    sample: tuple[Any, ...] | None = None
    """A row of `sample`, without its session and time."""

    ending: tuple[str, int | None] | None = None
    """The status with which the session ends, and the number of items in the input, if known."""

    is_refused: bool = False
    """Whether the input has turned out to be a different one."""

    @property
    def proves(self) -> bool:
        """Whether anything of the input is recorded, which accepts it as that of the run."""
        is_whole = self.ending is not None and self.ending[0] == COMPLETE
        return is_whole or bool(self.reads or self.again or self.ended or self.notes)

    def __bool__(self) -> bool:
        return bool(self.reads or self.again or self.ended or self.notes or self.sample)


class Pending:
    """The items of a session between being read and being released, and the notes to store."""

    def __init__(self) -> None:
        self.reads: deque[Prepared] = deque()
        """Items that were read and are not looked up yet."""
        self.again: list[Prepared] = []
        """Items to run as another take that have no intent yet."""
        self.open: dict[int, Prepared] = {}
        """Items with an intent whose outcome is not released, by index."""
        self.ended: list[Prepared] = []
        """Items whose outcomes are to be recorded."""
        self.notes: dict[str, object] = {}
        """Notes to store."""
        self.held: dict[str, object] | None = None
        """Notes held back until the input is known to be that of the run; `None` once it is."""
        self.read = 0
        """The number of items read so far."""
        self.is_taken = False
        """Whether items are taken, and neither put back nor released yet."""
        self.is_refused = False
        """Whether the input has turned out to be a different one."""
        self.error: JournalError | None = None
        """Why nothing more can be recorded, if so."""

    def __bool__(self) -> bool:
        return bool(self.reads or self.ended or self.again or self.notes)

    def take(self) -> tuple[list[Prepared], CommitBatch]:
        """Take what the next commit covers: a group of items that were read, and all the rest."""
        self.is_taken = bool(self.reads or self.again)
        before = accumulate(map(len, map(_body_of, self.reads)), initial=0)
        count = min(bisect_left(list(before), MOST_BYTES), len(self.reads))
        reads = [self.reads.popleft() for _ in range(count)]
        batch = CommitBatch(
            again=self.again, ended=self.ended, notes=self.notes, held=self.held or {}
        )
        self.again, self.ended, self.notes = [], [], {}
        if self.held is not None:
            self.held = {}
        return reads, batch

    def put_back(self, reads: list[Prepared], batch: CommitBatch) -> None:
        """Put back what was taken, as the commit did not happen."""
        self.reads.extendleft(reversed(reads))
        self.again = batch.again + self.again
        self.ended = batch.ended + self.ended
        self.notes = {**batch.notes, **self.notes}
        self.is_taken = False

    def hold_again(self, batch: CommitBatch, *, is_proven: bool) -> None:
        """Keep holding back the notes of a batch, unless the input is proven by now."""
        if self.held is None:
            return
        if is_proven:
            self.notes |= self.held
            self.held = None
        else:
            self.held = {**batch.held, **self.held}

    def drop(self) -> Iterator[Prepared]:
        """Remove and yield the items that have no intent."""
        dropped = [*self.reads, *self.again]
        self.reads.clear()
        self.again = []
        yield from dropped

    def last(self, *, total: int | None, now: float) -> CommitBatch:
        """Return the last batch of the session.

        No task waits for these items any more. An open item that was sent may have run; one that
        was not sent certainly did not, and its intent is removed when the session ends.

        Args:
            total: The number of items in the input; `None` if not all of it was read.
            now: The current time, in seconds since the epoch.
        """
        under_way = dict(self.open)
        for prepared in self.ended:
            under_way.pop(prepared.index, None)
        in_doubt = [each for each in under_way.values() if each.is_sent]
        for prepared in in_doubt:
            prepared.outcome = left_outcome(prepared, now)
        remain = under_way or self.reads or self.again or self.is_taken
        is_complete = total is not None and not remain
        return CommitBatch(
            ended=[*self.ended, *in_doubt],
            notes={} if self.is_refused else self.notes,
            held=self.held or {},
            ending=(COMPLETE if is_complete else "left", total),
            is_refused=self.is_refused,
        )


def group_size(
    size: int, *, read: int, fresh: int, ended: int, was_hungry: bool, replayed: int = 0
) -> int:
    """Return the size of the groups in which items are read ahead.

    In a steady state, a group is as large as what is taken during one commit. It grows while
    workers wait for items or most items are skipped, and stays the same for small changes.

    Args:
        size: The current size.
        read: The number of items in the last group.
        fresh: How many of them were new.
        ended: The number of items that ended in the last batch.
        was_hungry: Whether a worker waited for an item when the group was committed.
        replayed: The size of the recorded results of the last group, in bytes. They are in memory
            at once, so a group of large ones is small.
    """
    wanted = max(LEAST_GROUP, ended)
    if replayed > MOST_BYTES:
        return max(wanted, size * MOST_BYTES // replayed)
    if 2 * replayed > MOST_BYTES:
        return max(wanted, size)
    if read >= size and (was_hungry or 2 * fresh < read):
        wanted = max(wanted, 2 * size)
    wanted = min(wanted, MOST_GROUP)
    return size if 0.75 * size <= wanted <= size else wanted
