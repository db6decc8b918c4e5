"""Rows of a journal as the values that reading returns."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from asyncinvoke._journal.flights import Flight
from asyncinvoke._journal.identity import cut
from asyncinvoke._journal.restoring import moment, unpacked_id
from asyncinvoke._journal.schema import STATES, State
from asyncinvoke._journal.values import (
    RecordedCause,
    RecordedItem,
    RecordedSession,
    RecordedTake,
    RunSummary,
    Sample,
)
from asyncinvoke._model.text import NO_CHARACTERS, in_one_line
from asyncinvoke.errors import JournalError

CAUSES = """
SELECT id, error, code, error_type, delivery, gave_up, example, count FROM cause WHERE count
"""
"""Selects the rows of `causes_of`."""

ITEMS = """
SELECT item.idx, item.key, item.state, item.digest, item.cause, item.session,
    session.started + item.began / 1000.0, item.elapsed, item.request_id, item.attempts, item.take
FROM item JOIN session ON session.id = item.session
"""
"""Selects the rows of `item_of`."""

TAKES = """
SELECT take, state, cause, attempts, session, session.started + began / 1000.0, elapsed, request_id
FROM earlier JOIN session ON session.id = session WHERE idx = ? ORDER BY take
"""
"""Selects the rows of `take_of`."""

SAMPLES = """
SELECT sample.rowid, session, session.started + at / 1000.0, succeeded, failed, in_flight, waiting,
    "limit", rate, throttles
FROM sample JOIN session ON session.id = session
"""
"""Selects the rows of `sample_of`."""

SESSIONS = """
SELECT id, started, ended, status, host, pid FROM session ORDER BY id
"""
"""Selects the rows of `session_of`."""


def column_of(position: int | None, key: str | None) -> tuple[str, int | str]:
    """Return the column by which an item is identified, and its value.

    Raises:
        JournalError: Neither is given, or both are, or no item can have it.
    """
    if key is not None and position is None:
        if not isinstance(key, str) or NO_CHARACTERS.search(key):
            shown = in_one_line(repr(key), 100)
            raise JournalError(f"no item has the key {shown}: a key is Unicode text")
        return "key", key
    if position is not None and key is None:
        if type(position) is not int or not 0 <= position <= sys.maxsize:
            raise JournalError(
                f"no item has the position {position!r}: it is a whole number from 0"
            )
        return "idx", position
    raise JournalError("identify the item either by its position or by its key")


def summary_of(
    path: str,
    about: Mapping[str, Any],
    counts: Mapping[str, int],
    flights: Iterable[Flight],
    sessions: tuple[RecordedSession, ...],
    versions: Mapping[str, int],
    *,
    holder: str | None,
    is_running: bool,
) -> RunSummary:
    """Return the summary of a run.

    Args:
        path: The path of the journal.
        about: The rows of `run`.
        counts: The rows of `count`.
        flights: The items in progress.
        sessions: The sessions.
        versions: The number of items answered by each version.
        holder: A description of the process that uses the journal, if there is one.
        is_running: Whether a process uses it.
    """
    identity = json.loads(about["identity"])
    ended = dict(counts)
    in_doubt = in_flight = 0
    for flight in flights:
        if flight.may_have_run and not is_running:
            in_doubt += 1
        else:
            in_flight += 1
        if flight.earlier_state is not None:
            ended[STATES[State(flight.earlier_state)]] -= 1
    return RunSummary(
        path=path,
        id=about["id"],
        running=is_running,
        holder=holder,
        function_name=identity["function_name"],
        qualifier=identity.get("qualifier"),
        invocation_type=identity["invocation_type"],
        keyed=identity["key"],
        results=bool(identity["results"]),
        identity=identity,
        total=about.get("total"),
        succeeded=ended["succeeded"],
        failed=ended["not_run"] + ended["failed"],
        not_run=ended["not_run"],
        may_have_run=ended["may_have_run"] + in_doubt,
        settled=ended["settled"],
        in_flight=in_flight,
        attempts=ended["attempts"],
        throttled=ended["throttled"],
        versions=versions,
        sessions=sessions,
        notes=_notes(about),
    )


def _notes(about: Mapping[str, Any]) -> dict[str, object]:
    return {
        name.removeprefix("note:"): json.loads(value)
        for name, value in about.items()
        if name.startswith("note:")
    }


def causes_of(
    rows: Iterable[tuple[Any, ...]], flights: Iterable[Flight]
) -> tuple[RecordedCause, ...]:
    """Return the causes of failures, most frequent first.

    Args:
        rows: The causes.
        flights: The items in progress; the causes of their earlier takes do not count.
    """
    replaced = Counter(
        flight.earlier_cause for flight in flights if flight.earlier_state != State.SETTLED
    )
    causes = [
        RecordedCause(
            number=number,
            error=error,
            code=code,
            error_type=error_type,
            delivery=delivery,
            gave_up=gave_up,
            example=example,
            count=count - replaced[number],
        )
        for number, error, code, error_type, delivery, gave_up, example, count in rows
        if count > replaced[number]
    ]
    return tuple(sorted(causes, key=lambda cause: (-cause.count, cause.number)))


def session_of(row: tuple[Any, ...]) -> RecordedSession:
    """Return a session."""
    number, started, ended, status, host, pid = row
    return RecordedSession(
        number=number,
        started=moment(started),
        ended=None if ended is None else moment(ended),
        status=status,
        host=host or "",
        pid=pid or 0,
    )


def item_of(row: tuple[Any, ...], earlier: tuple[RecordedTake, ...] = ()) -> RecordedItem:
    """Return an item that has ended."""
    idx, key, state, digest, cause, session, started, elapsed, request_id, attempts, take = row
    return RecordedItem(
        position=idx,
        key=key,
        state=STATES[State(state)],
        digest=_hexadecimal(digest),
        cause=cause,
        session=session,
        started=moment(started),
        elapsed=elapsed / 1e6,
        request_id=unpacked_id(request_id),
        attempts=attempts,
        take=take,
        earlier=earlier,
    )


def take_of(row: tuple[Any, ...]) -> RecordedTake:
    """Return an earlier take of an item."""
    take, state, cause, attempts, session, started, elapsed, request_id = row
    return RecordedTake(
        number=take,
        state=STATES[State(state)],
        cause=cause,
        attempts=attempts,
        session=session,
        started=moment(started),
        elapsed=elapsed / 1e6,
        request_id=unpacked_id(request_id),
    )


def current_take_of(item: RecordedItem) -> RecordedTake:
    """Return the current take of an item that has ended."""
    return RecordedTake(
        number=item.take,
        state=item.state,
        cause=item.cause,
        attempts=item.attempts,
        session=item.session,
        started=item.started or 0.0,
        elapsed=item.elapsed or 0.0,
        request_id=item.request_id,
    )


def in_progress(
    flight: Flight, *, is_running: bool, earlier: tuple[RecordedTake, ...] = ()
) -> RecordedItem:
    """Return an item whose current take has not ended."""
    in_doubt = flight.may_have_run and not is_running
    return RecordedItem(
        position=flight.row,
        key=flight.key,
        state=STATES[State.MAY_HAVE_RUN] if in_doubt else "in_flight",
        digest=_hexadecimal(flight.digest),
        cause=None,
        session=flight.session if flight.may_have_run else 0,
        started=None,
        elapsed=None,
        request_id=None,
        attempts=0,
        take=flight.take,
        earlier=earlier,
    )


def sample_of(row: tuple[Any, ...]) -> Sample:
    """Return a sample."""
    _, session, at, succeeded, failed, in_flight, waiting, limit, rate, throttles = row
    return Sample(
        session=session,
        at=moment(at),
        succeeded=succeeded,
        failed=failed,
        in_flight=in_flight,
        waiting=waiting,
        limit=limit,
        rate=rate,
        throttles=json.loads(throttles or "{}"),
    )


def _hexadecimal(digest: bytes | None) -> str | None:
    return None if digest is None else (cut(digest) or b"").hex()
