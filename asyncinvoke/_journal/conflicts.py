"""Decides about items that are in two of the journals that are copied into one."""

from typing import Any, NamedTuple

from asyncinvoke._journal.committing import move_to_earlier
from asyncinvoke._journal.flights import Flight
from asyncinvoke._journal.in_doubt import LOST, LOST_CAUSE
from asyncinvoke._journal.renumbering import PartStatements, Renumbering
from asyncinvoke._journal.schema import State

MET = "CREATE TEMP TABLE met (idx INTEGER PRIMARY KEY, there INTEGER);\n"
"""The items of a part that were there already, and their rows there."""

NAMED = 20
"""The maximum number of items named as having run twice."""

_RANK = {
    State.SUCCEEDED: 4,
    State.SETTLED: 3,
    State.FAILED: 2,
    State.MAY_HAVE_RUN: 1,
    State.NOT_RUN: 0,
}
"""The order of precedence: succeeded, ran, may have run, certainly did not run."""


class ItemRecord(NamedTuple):
    """The part of an item's outcome that decides a merge."""

    state: int
    take: int
    began: float
    """When it began, in seconds since the epoch."""
    elapsed: int
    """How long it took, in microseconds."""
    request_id: Any

    @property
    def ended(self) -> float:
        """When it ended, in seconds since the epoch."""
        return self.began + self.elapsed / 1e6


def beats(new: ItemRecord, old: ItemRecord) -> bool:
    """Return whether a record takes precedence over another record of the same item.

    A success wins over a failure, and a known outcome over an unknown one; of two equal outcomes
    the later one wins.
    """
    ranks = _RANK[State(new.state)], _RANK[State(old.state)]
    return ranks[0] > ranks[1] if ranks[0] != ranks[1] else new.ended > old.ended


def ran_twice(one: ItemRecord, other: ItemRecord) -> bool:
    """Return whether an item ran, or may have run, according to both records."""
    return State.NOT_RUN not in (one.state, other.state)


class Conflicts:
    """Keeps one record of each item that is in two journals, and the others as earlier takes.

    Such items are few, so each is decided on separately, unlike those copied by one statement.

    Args:
        sql: Executes statements.
        numbers: The numbers of sessions, causes and versions in the merged journal.
        keyed: Whether items are identified by keys.
    """

    def __init__(self, sql: PartStatements, numbers: Renumbering, *, keyed: bool) -> None:
        self._sql = sql
        self._numbers = numbers
        self._keyed = keyed
        self._column = "key" if keyed else "idx"
        self.has_changed_counts = False
        """Whether the counts of the journals no longer add up to that of the merged one."""
        self.ran_twice = 0
        """The number of items that ran, or may have run, in two journals."""
        self.named: list[int | str] = []
        """The first of them."""

    def meet(self, columns: str, ours: str) -> None:
        """Decide about the items of a part that were there already.

        Args:
            columns: The columns of `item`, renumbered, without the row.
            ours: A condition that a session is one of the part.
        """
        self.has_changed_counts = True
        self._sql.do(
            "INSERT INTO met SELECT new.idx, there.idx FROM part.item AS new JOIN item AS there"
            f" ON there.{self._column} = new.{self._column} WHERE there.session NOT {ours}"
        )
        for row, there in self._sql.all("SELECT idx, there FROM met"):
            ((new, name),) = self._records("part", row)
            ((old, _),) = self._records("main", there)
            if new == old:
                continue  # the journal was copied, and both copies are merged
            if beats(new, old):
                move_to_earlier(self._sql, there, take=self._next_take(there))
                self._sql.do(
                    f"INSERT INTO item SELECT {there}, {columns} FROM part.item WHERE idx = ?", row
                )
                self._sql.do(
                    f"INSERT INTO result SELECT {there}, body, facts FROM part.result"
                    " WHERE idx = ?",
                    row,
                )
            else:
                self._sql.do(
                    f"INSERT OR IGNORE INTO earlier SELECT {there},"
                    f" {self._next_take(there)}, state, {self._numbers.of('cause')}, attempts,"
                    f" {self._numbers.of('session')}, began, elapsed, request_id FROM part.item"
                    " WHERE idx = ?",
                    row,
                )
            self._number_take(there)
            self._report(new, old, name if self._keyed and name is not None else there)

    def lose(self, lost: list[Flight], ours: str) -> None:
        """Record the items of a part that may have run when its process died as ended.

        Args:
            lost: Those items, with their rows in the merged journal.
            ours: A condition that a session is one of the part.
        """
        self.has_changed_counts = True
        cause = self._numbers.cause(LOST_CAUSE, LOST)
        for flight in lost:
            new_session, began = self._numbers.new_session(flight.session)
            row = flight.row
            name = flight.key if self._keyed and flight.key is not None else row
            found = self._sql.all(
                f"SELECT idx, session {ours} FROM item WHERE {self._column} = ?", name
            )
            record = ItemRecord(State.MAY_HAVE_RUN, flight.take, began, 0, None)
            is_kept = True
            for there, is_ours in found:
                row = there
                ((other, _),) = self._records("main", there)
                is_kept = bool(is_ours) or beats(record, other)
                if is_kept:
                    move_to_earlier(self._sql, there, take=self._next_take(there))
                if not is_ours:
                    self._report(record, other, name if self._keyed else there)
            if is_kept:
                self._insert_lost(flight, row, cause, new_session)

    def _insert_lost(self, flight: Flight, row: int, cause: int, session: int) -> None:
        self._numbers.seq += 1
        self._sql.do(
            "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, 1, 0, ?, NULL, NULL, 0, 0, NULL, ?)",
            *(row, flight.digest, flight.key, State.MAY_HAVE_RUN, cause, flight.take, session),
            self._numbers.seq,
        )
        self._number_take(row)

    def _records(self, part: str, row: int) -> list[tuple[ItemRecord, str | None]]:
        found = self._sql.all(
            "SELECT state, take, session.started + item.began / 1000.0, elapsed, request_id, key"
            f" FROM {part}.item JOIN {part}.session ON session.id = item.session WHERE idx = ?",
            row,
        )
        return [(ItemRecord(*record), key) for *record, key in found]

    def _next_take(self, row: int) -> int:
        ((last,),) = self._sql.all("SELECT COALESCE(MAX(take), 0) FROM earlier WHERE idx = ?", row)
        return int(last) + 1

    def _number_take(self, row: int) -> None:
        """Let an item's take come after those that were put aside."""
        self._sql.do("UPDATE item SET take = MAX(take, ?) WHERE idx = ?", self._next_take(row), row)

    def _report(self, new: ItemRecord, old: ItemRecord, name: int | str) -> None:
        if ran_twice(new, old):
            self.ran_twice += 1
            if len(self.named) < NAMED:
                self.named.append(name)
