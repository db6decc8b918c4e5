"""Items in progress: which of them may have run, and what they leave to the next session."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from asyncinvoke._journal.host import boot_id
from asyncinvoke._journal.identity import cut
from asyncinvoke._journal.marks import Marks, ReadMarks, mark_of
from asyncinvoke._journal.schema import ROW
from asyncinvoke.errors import JournalError

Query: TypeAlias = Callable[..., list[Any]]
"""Executes a statement with these values, and returns its rows."""

_FLIGHTS = """
SELECT flight.idx, flight.key, flight.digest, flight.session, session.started, flight.take,
    item.state, item.cause, session.boot
FROM flight JOIN session ON session.id = flight.session LEFT JOIN item ON item.idx = flight.idx
ORDER BY flight.idx
"""


class Flight(NamedTuple):
    """An item with an intent, whose latest take has not ended."""

    row: int
    key: str | None
    digest: bytes | None
    session: int
    started: float
    """When that session started, in seconds since the epoch."""
    take: int
    earlier_state: int | None
    """The state of the take before, if the item has ended before."""
    earlier_cause: int | None
    """The number of its cause."""
    may_have_run: bool
    """Whether a request for it may have been sent, if its process is gone."""


def read_flights(query: Query, marks: Marks | ReadMarks) -> list[Flight]:
    """Return the items in progress, in the order of their rows.

    An item without a mark of its session was not sent. That is certain only if the marks belong to
    this run and the machine has not crashed since, because marks are not synced to the disk.
    """
    rows = query(_FLIGHTS)
    if not rows:
        return []
    ((run_id,),) = query("SELECT value FROM run WHERE name = 'id'")
    boot = boot_id()
    is_trusted = boot is not None and marks.belong_to(run_id) and not _are_cut(query, marks)
    flights = []
    for row, key, digest, session, started, take, state, cause, its_boot in rows:
        is_asked = is_trusted and its_boot == boot
        may_have_run = not is_asked or marks.get(row) == mark_of(session)
        flights.append(
            Flight(row, key, cut(digest), session, started, take, state, cause, may_have_run)
        )
    return flights


def _are_cut(query: Query, marks: Marks | ReadMarks) -> bool:
    """Return whether the file ends before a row that the last session has sent, and so has marked.

    Another program has truncated it then. A session marks the rows of all that it sends, and of all
    that it found in doubt. Many rows are beyond the end of the marks, and looked at, only in a merged
    run (80 ms for a million).
    """
    return bool(
        query(
            "SELECT 1 FROM item WHERE idx >= ? AND attempts > 0"
            " AND session = (SELECT MAX(id) FROM session) LIMIT 1",
            marks.rows(),
        )
    )


@dataclass(slots=True, kw_only=True)
class Unfinished:
    """What the earlier sessions of a run have left for the next one."""

    lost: dict[int | str, Flight] = field(default_factory=dict)
    """Items that may have run when a process died, by row or key; removed as they are read."""

    not_sent: list[int] = field(default_factory=list)
    """Rows of items that were in progress too, and certainly did not run."""

    known: int = 0
    """The first row that no earlier session has recorded."""

    takes: dict[int, int] = field(default_factory=dict)
    """The number of earlier takes of items without an outcome: a person found out that they did not
    run, so they run again."""

    rows: dict[str, int] = field(default_factory=dict)
    """The rows of those items by key, in a run with keys."""


def read_unfinished(query: Query, marks: Marks, *, keyed: bool) -> Unfinished:
    """Return what the earlier sessions of a run have left."""
    left = Unfinished()
    for flight in read_flights(query, marks):
        if flight.may_have_run:
            name = flight.key if keyed and flight.key is not None else flight.row
            left.lost[name] = flight
        else:
            left.not_sent.append(flight.row)
    ((last,),) = query("SELECT COALESCE(MAX(idx), -1) FROM item")
    left.takes = dict(
        query(
            "SELECT idx, MAX(take) FROM earlier WHERE idx NOT IN (SELECT idx FROM item)"
            " GROUP BY idx"
        )
    )
    # Without keys, such a row is the position of its item. With keys, no other item may get it.
    reserved = left.takes if keyed else ()
    left.known = 1 + max([last, *(each.row for each in left.lost.values()), *reserved])
    if reserved:
        left.rows = {
            name.removeprefix(ROW): row
            for name, row in query("SELECT name, value FROM run WHERE name LIKE ?", f"{ROW}%")
            if row in reserved
        }
    return left


def has_ended_in_order(query: Query) -> bool:
    """Return whether the last session of a journal ended in order, if there was one.

    A merged journal has no row `file` until a session of its own begins. Until then, sessions that
    did not end are those of its parts, and the merge has recorded what they left.
    """
    if not query("SELECT 1 FROM run WHERE name = 'file'"):
        return True
    last = query("SELECT ended FROM session ORDER BY id DESC LIMIT 1")
    return not last or last[0][0] is not None


def check_marks(path: Path, marks: Marks, query: Query) -> None:
    """Check that the marks are there which say what may have run.

    Raises:
        JournalError: The last session did not end in order, and its marks are missing.
    """
    if marks.is_new and not has_ended_in_order(query):
        raise JournalError(
            f"{path}: its last session did not end in order, and {path}-marks is missing: it was "
            "copied without the files beside it, whose names begin as its own; if they are lost, an "
            "empty file of that name says that it is to be continued as it is, and whatever was "
            "under way may have run"
        )
