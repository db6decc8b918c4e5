"""Recording what a person found out about an item that may have run."""

import contextlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

from asyncinvoke._journal import rows
from asyncinvoke._journal.damage import damage_told
from asyncinvoke._journal.host import boot_id
from asyncinvoke._journal.marks import LockedError, Marks, mark_of
from asyncinvoke._journal.merged import PARTS, SETTLED
from asyncinvoke._journal.opening import explained, read_only, writing
from asyncinvoke._journal.schema import COMPLETE, ROW, State
from asyncinvoke._journal.session import has_ended_in_order, without_marks
from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import TransportFault
from asyncinvoke.errors import GaveUp, JournalError


def settle(
    path: str | os.PathLike[str],
    *,
    ran: bool,
    position: int | None = None,
    key: str | None = None,
) -> None:
    """Record whether an item that may have run did run.

    An item that ran becomes `settled` and is not run again. An item that did not run counts as not
    started, and is sent when the run is continued. The previous record is kept as an earlier take.

    Args:
        path: The path of the journal; no process may be using it.
        ran: Whether the item ran.
        position: The item's index in the input.
        key: Its key, in a run with keys.

    Raises:
        JournalError: The journal cannot be used, or the item is not one that may have run.
    """
    journal = Path(path)
    read_only(journal).close()
    try:
        marks = Marks.locked(journal)
    except LockedError:
        raise JournalError(f"{journal}: a process is at work on it: stop the run first") from None
    try:
        connection = writing(journal)
        try:
            connection.execute("BEGIN IMMEDIATE")
            if marks.is_new and not has_ended_in_order(connection):
                raise JournalError(without_marks(journal))
            column, value = ("key", key) if key is not None else ("idx", position)
            with damage_told(journal):
                _settle(journal, connection, marks, column, value, ran=ran)
                _say_settled(connection, ran=ran)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise explained(journal, error) from None
        finally:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
    except BaseException:
        if marks.is_new:
            marks.remove()
        raise
    finally:
        marks.close()


def _settle(
    journal: Path,
    connection: sqlite3.Connection,
    marks: Marks,
    column: str,
    value: object,
    *,
    ran: bool,
) -> None:
    shown = f"{journal}: item {value!r}"
    flight = connection.execute(
        "SELECT idx, digest, flight.key, session, take, boot FROM flight "
        f"JOIN session ON session.id = session WHERE flight.{column} = ?",
        (value,),
    ).fetchone()
    if flight is not None and _may_have_run(connection, marks, flight):
        _settle_flight(connection, flight, ran=ran)
        return
    item = connection.execute(
        f"SELECT idx, state, cause FROM item WHERE {column} = ?", (value,)
    ).fetchone()
    if item is None:
        about = dict(connection.execute("SELECT name, value FROM run").fetchall())
        is_keyed, total = json.loads(about["identity"])["key"], about.get("total")
        if column == "key" and not is_keyed:
            raise JournalError(f"{shown}: the run has no keys: name the item by its position")
        if total is not None and isinstance(value, int) and not is_keyed and value >= total:
            raise JournalError(f"{shown}: the input has {total:,} items")
        raise JournalError(
            f"{shown} surely did not run: nothing is recorded of it, and the next session of the run "
            "sends it if it is in the input"
        )
    row, state, cause = item
    if state != State.MAY_HAVE_RUN:
        raise JournalError(f"{shown} is none that may have run: it is {State(state).name.lower()}")
    # Of a redrive that surely did not send it: after a restart it would be in doubt again.
    connection.execute("DELETE FROM flight WHERE idx = ?", (row,))
    if not ran:
        _withdraw(connection, row)
        return
    _copy_to_earlier(connection, row)
    connection.execute("UPDATE cause SET count = count - 1 WHERE id = ?", (cause,))
    _count(connection, "may_have_run", -1)
    connection.execute("UPDATE item SET state = ? WHERE idx = ?", (State.SETTLED, row))
    _count(connection, "settled", 1)


def _say_settled(connection: sqlite3.Connection, *, ran: bool) -> None:
    """Say that a run is not complete any more, and that the parts of a merged one lack something."""
    if not ran:
        connection.execute(
            "UPDATE session SET status = 'left' WHERE id = (SELECT MAX(id) FROM session)"
            " AND status = ?",
            (COMPLETE,),
        )
    noted = connection.execute(
        "SELECT value FROM run WHERE name = ?", (f"note:{PARTS}",)
    ).fetchone()
    parts = None if noted is None else json.loads(noted[0])
    if not isinstance(parts, list) or not all(
        isinstance(part, dict) and "sessions" in part for part in parts
    ):
        return  # there are none, or somebody else has a note of that name
    said = [{**part, SETTLED: True, "complete": ran and part.get("complete")} for part in parts]
    connection.execute(
        "UPDATE run SET value = ? WHERE name = ?", (json.dumps(said), f"note:{PARTS}")
    )


def _may_have_run(connection: sqlite3.Connection, marks: Marks, flight: Any) -> bool:
    row, _, _, session, _, its_boot = flight
    (run_id,) = connection.execute("SELECT value FROM run WHERE name = 'id'").fetchone()
    boot = boot_id()
    asked = boot is not None and boot == its_boot and marks.run_id() == run_id
    return not asked or marks.get(row) == mark_of(session)


def _settle_flight(connection: sqlite3.Connection, flight: Any, *, ran: bool) -> None:
    row, digest, key, session, take, _ = flight
    connection.execute("DELETE FROM flight WHERE idx = ?", (row,))
    _withdraw(connection, row)  # of a redrive that died, the take before it
    if not ran:
        return
    connection.execute(
        "INSERT INTO item (idx, digest, key, state, cause, take, attempts, throttled, session,"
        " began, elapsed, seq) VALUES (?, ?, ?, ?, ?, ?, 1, 0, ?, 0, 0,"
        " (SELECT value + 1 FROM count WHERE name = 'seq'))",
        (row, digest, key, State.SETTLED, _lost_cause(connection), take, session),
    )
    connection.execute(
        "INSERT INTO result VALUES (?, NULL, ?)",
        (row, json.dumps({"message": "its process died while it was under way"})),
    )
    for name in ("settled", "attempts", "seq"):
        _count(connection, name, 1)


def _withdraw(connection: sqlite3.Connection, row: int) -> None:
    """Move the recorded outcome of an item, if there is one, to its earlier takes."""
    found = connection.execute(
        "SELECT state, cause, version, attempts, throttled, key FROM item WHERE idx = ?", (row,)
    ).fetchone()
    if found is None:
        return
    state, cause, version, attempts, throttled, key = found
    _copy_to_earlier(connection, row)
    for table in ("item", "result"):
        connection.execute(f"DELETE FROM {table} WHERE idx = ?", (row,))
    _count(connection, State(state).name.lower(), -1)
    _count(connection, "attempts", -attempts)
    _count(connection, "throttled", -throttled)
    if state != State.SETTLED:
        connection.execute("UPDATE cause SET count = count - 1 WHERE id = ?", (cause,))
    connection.execute("UPDATE version SET count = count - 1 WHERE id = ?", (version,))
    if key is not None:
        # The earlier takes have no key: this says which item they are those of.
        connection.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (f"{ROW}{key}", row))


def _copy_to_earlier(connection: sqlite3.Connection, row: int) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO earlier SELECT idx, take, state, cause, attempts, session, began,"
        " elapsed, request_id FROM item WHERE idx = ?",
        (row,),
    )


def _lost_cause(connection: sqlite3.Connection) -> int:
    key = rows.CauseKey(
        "TransportError",
        TransportFault.PROCESS_LOST.value,
        None,
        Delivery.UNKNOWN.value,
        GaveUp.DELIVERY_UNKNOWN.value,
    )
    found = connection.execute(
        "SELECT id FROM cause WHERE error = ? AND code = ? AND error_type IS ? AND delivery = ?"
        " AND gave_up = ?",
        key,
    ).fetchone()
    if found is not None:
        return int(found[0])
    (number,) = connection.execute("SELECT 1 + COALESCE(MAX(id), 0) FROM cause").fetchone()
    connection.execute(
        "INSERT INTO cause VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
        (number, *key, "its process died while it was under way"),
    )
    return int(number)


def _count(connection: sqlite3.Connection, name: str, change: int) -> None:
    connection.execute("UPDATE count SET value = value + ? WHERE name = ?", (change, name))
