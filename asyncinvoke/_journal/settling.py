"""Recording what a person found out about items that may have run."""

import json
import os
from collections.abc import Collection
from itertools import product
from pathlib import Path
from typing import Any

from asyncinvoke._journal.committing import copy_to_earlier, keep_notes, move_to_earlier
from asyncinvoke._journal.damage import damage_told
from asyncinvoke._journal.flights import Flight, check_marks, read_flights
from asyncinvoke._journal.in_doubt import LOST, LOST_CAUSE
from asyncinvoke._journal.locked_file import LockedError
from asyncinvoke._journal.marks import NO_MARK, Marks
from asyncinvoke._journal.older import check_not_older
from asyncinvoke._journal.opening import read_only, writing
from asyncinvoke._journal.recorded import column_of
from asyncinvoke._journal.schema import COMPLETE, ROW, STATES, State
from asyncinvoke._journal.shards import PARTS, SETTLED, is_of_merge
from asyncinvoke._journal.statements import Statements
from asyncinvoke.errors import JournalError


def settle(
    path: str | os.PathLike[str],
    *,
    ran: bool,
    position: int | Collection[int] | None = None,
    key: str | Collection[str] | None = None,
) -> None:
    """Record whether items that may have run did run: all of those given, or none of them.

    An item that ran becomes `settled` and is not run again. An item that did not run counts as not
    started, and is sent when the run is continued. The previous record is kept as an earlier take.

    Args:
        path: The path of the journal; no process may be using it.
        ran: Whether the items ran.
        position: The index of an item in the input, or several, in a run without keys.
        key: The key of an item, or several, in a run with keys.

    Raises:
        JournalError: The journal cannot be used, or an item is not one that may have run; nothing
            is recorded.
    """
    journal = Path(path)
    named = dict.fromkeys(column_of(*each) for each in product(_each(position), _each(key)))
    read_only(journal).close()
    try:
        marks = Marks.locked(journal)
    except LockedError:
        raise JournalError(f"{journal}: another process is using it: stop the run first") from None
    try:
        _settle(journal, marks, named, ran=ran)
    except BaseException:
        if marks.is_new:
            marks.remove()
        raise
    finally:
        marks.close()


def _each(given: Any) -> Collection[Any]:
    is_one = isinstance(given, str | bytes) or not isinstance(given, Collection)
    return (given,) if is_one else given


def _settle(
    journal: Path, marks: Marks, named: Collection[tuple[str, int | str]], *, ran: bool
) -> None:
    sql = Statements(writing(journal))
    try:
        with damage_told(journal), sql.transaction():
            check_marks(journal, marks, sql.all)
            # What it has in doubt may have run since; and its marks, which show that, stay.
            check_not_older(journal, sql.all, marks)
            is_keyed = _identity(sql)["key"]
            flights = {
                flight.key if is_keyed else flight.row: flight
                for flight in read_flights(sql.all, marks)
                if flight.may_have_run
            }
            for column, name in named:  # an error of one of them undoes those before it
                is_key = column == "key"
                if is_key and not is_keyed:  # its requests may have keys, which need not be unique
                    raise JournalError(
                        f"{journal}: item {name!r}: the run has no keys: name the item by its position"
                    )
                if is_keyed and not is_key:  # it is recorded in the next free row
                    raise JournalError(
                        f"{journal}: item {name!r}: the run has keys: name the item by its key"
                    )
                if name in flights:
                    _settle_flight(sql, flights[name], ran=ran)
                else:
                    _settle_item(journal, sql, name, is_key=is_key, ran=ran)
            if named:
                _note_settled(sql, ran=ran)
            if not ran:  # before the commit: a kill in between leaves them as not sent, as was said
                _unmark(marks, [flights[name].row for _, name in named if name in flights])
    finally:
        sql.close()


def _unmark(marks: Marks, rows: list[int]) -> None:
    """Remove the marks of items of which nothing is recorded any more: none shows an older journal."""
    for row in rows:
        if marks.get(row) != NO_MARK:
            marks.set(row, NO_MARK)


def _settle_item(journal: Path, sql: Statements, name: object, *, is_key: bool, ran: bool) -> None:
    """Settle an item whose outcome is recorded."""
    column = "key" if is_key else "idx"
    found = sql.all(f"SELECT idx, state, cause FROM item WHERE {column} = ?", name)
    if not found:
        raise JournalError(f"{journal}: item {name!r}{_why_not_recorded(sql, name)}")
    ((row, state, cause),) = found
    if state != State.MAY_HAVE_RUN:
        raise JournalError(
            f"{journal}: item {name!r} cannot be settled: it is recorded as {STATES[State(state)]}"
        )
    # Its redrive certainly was not sent. If the machine restarts, it would be in doubt again.
    sql.do("DELETE FROM flight WHERE idx = ?", row)
    if not ran:
        _withdraw(sql, row)
        return
    copy_to_earlier(sql, row)
    sql.do("UPDATE cause SET count = count - 1 WHERE id = ?", cause)
    sql.do("UPDATE item SET state = ? WHERE idx = ?", State.SETTLED, row)
    _count(sql, may_have_run=-1, settled=1)


_FUNCTION = ("function_name", "qualifier")


def _identity(sql: Statements) -> dict[str, Any]:
    """Return the settings of the run that its sessions have in common."""
    ((identity,),) = sql.all("SELECT value FROM run WHERE name = 'identity'")
    return dict(json.loads(identity))


def _why_not_recorded(sql: Statements, name: object) -> str:
    total = next((each for (each,) in sql.all("SELECT value FROM run WHERE name = 'total'")), None)
    if total is not None and isinstance(name, int) and name >= total:
        return f": the input has {total:,} items"
    return (
        " surely did not run: nothing is recorded of it, and the next session of the run "
        "sends it if it is in the input"
    )


def _settle_flight(sql: Statements, flight: Flight, *, ran: bool) -> None:
    """Settle an item that was in progress when its process died."""
    row = flight.row
    sql.do("DELETE FROM flight WHERE idx = ?", row)
    _withdraw(sql, row)  # the take before, if the process died during a redrive
    if not ran:
        return
    sql.do(
        "INSERT INTO item (idx, digest, key, state, cause, take, attempts, throttled, session,"
        " began, elapsed, seq) VALUES (?, ?, ?, ?, ?, ?, 1, 0, ?, 0, 0,"
        " (SELECT value + 1 FROM count WHERE name = 'seq'))",
        *(row, flight.digest, flight.key, State.SETTLED, _lost_cause(sql), flight.take),
        flight.session,
    )
    facts = {"message": LOST, **{name: _identity(sql).get(name) for name in _FUNCTION}}
    sql.do("INSERT INTO result VALUES (?, NULL, ?)", row, json.dumps(facts))
    _count(sql, settled=1, attempts=1, seq=1)


def _note_settled(sql: Statements, *, ran: bool) -> None:
    """Note that the run is not complete any more, and that the parts of a merged one lack something."""
    if not ran:
        sql.do(
            "UPDATE session SET status = 'left' WHERE id = (SELECT MAX(id) FROM session)"
            " AND status = ?",
            COMPLETE,
        )
    for (noted,) in sql.all("SELECT value FROM run WHERE name = ?", f"note:{PARTS}"):
        parts = json.loads(noted)
        if is_of_merge(parts):
            for part in parts:
                part |= {SETTLED: True, "complete": ran and part.get("complete")}
            keep_notes(sql, {PARTS: parts})


def _withdraw(sql: Statements, row: int) -> None:
    """Move the recorded outcome of an item, if there is one, to its earlier takes."""
    for state, cause, version, attempts, throttled, key in sql.all(
        "SELECT state, cause, version, attempts, throttled, key FROM item WHERE idx = ?", row
    ):
        move_to_earlier(sql, row)
        _count(sql, **{STATES[State(state)]: -1}, attempts=-attempts, throttled=-throttled)
        if state != State.SETTLED:
            sql.do("UPDATE cause SET count = count - 1 WHERE id = ?", cause)
        sql.do("UPDATE version SET count = count - 1 WHERE id = ?", version)
        if key is not None:
            # The earlier takes have no key: this row says which item they belong to.
            sql.set_about(f"{ROW}{key}", row)


def _lost_cause(sql: Statements) -> int:
    """Return the number of the cause of items that may have run when their process died."""
    found = sql.all(
        "SELECT id FROM cause WHERE error = ? AND code = ? AND error_type IS ? AND delivery = ?"
        " AND gave_up = ?",
        *LOST_CAUSE,
    )
    if found:
        return int(found[0][0])
    ((number,),) = sql.all("SELECT 1 + COALESCE(MAX(id), 0) FROM cause")
    sql.do("INSERT INTO cause VALUES (?, ?, ?, ?, ?, ?, ?, 0)", number, *LOST_CAUSE, LOST)
    return int(number)


def _count(sql: Statements, **changes: int) -> None:
    for name, change in changes.items():
        sql.do("UPDATE count SET value = value + ? WHERE name = ?", change, name)
