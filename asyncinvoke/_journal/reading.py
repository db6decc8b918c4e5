"""Reading a recorded run: synchronous, without an event loop, and read-only."""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._journal.damage import faults, tells_damage
from asyncinvoke._journal.host import boot_id
from asyncinvoke._journal.marks import ReadMarks, mark_of
from asyncinvoke._journal.opening import explained, read_only
from asyncinvoke._journal.rows import ITEM_ROWS, CauseKey, ItemRow, outcome_of, unpacked_id
from asyncinvoke._journal.schema import State
from asyncinvoke._journal.values import (
    RecordedCause,
    RecordedItem,
    RecordedSession,
    RecordedTake,
    RunSummary,
    Sample,
)
from asyncinvoke._model.response import Decode, decode_json
from asyncinvoke.errors import JournalError

PAGE = 1000
"""Rows read at once. A single long read transaction would keep SQLite from checkpointing the WAL,
so each page is a transaction of its own, and the run may commit between pages."""

_AGAIN = "SELECT flight.idx, item.state, item.cause FROM flight JOIN item ON item.idx = flight.idx"
"""Items that have ended before and are in progress again."""

_FIELDS = """SELECT item.idx, item.key, item.state, item.digest, item.cause, item.session,
    session.started + item.began / 1000.0, item.elapsed, item.request_id, item.attempts, item.take
FROM item JOIN session ON session.id = item.session"""


class RecordedRun:
    """A recorded run, opened for reading by `open_run`; a context manager.

    The run may still be in progress. Each method sees what is committed at the time it reads, and
    none blocks the process that writes.
    """

    def __init__(self, path: str | os.PathLike[str], *, decode: Decode = decode_json) -> None:
        self._path = Path(path)
        self._decode = decode
        self._connection: sqlite3.Connection | None = read_only(self._path)
        self._marks = ReadMarks(self._path)

    @property
    def path(self) -> Path:
        """The path of the journal."""
        return self._path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._marks.close()

    def __repr__(self) -> str:
        return f"<RecordedRun {str(self._path)!r}>"

    @tells_damage
    def summary(self) -> RunSummary:
        """Return the identity and progress of the run, in constant time."""
        running = self._marks.is_held()
        about: dict[str, Any] = dict(self._all("SELECT name, value FROM run"))
        counts = dict(self._all("SELECT name, value FROM count"))
        identity = json.loads(about["identity"])
        doubtful = in_flight = 0
        again = {idx: state for idx, state, _ in self._all(_AGAIN)}
        for idx, _, _, session in self._flights():
            if idx in again and not running and session is None:
                continue  # the outcome of the earlier take still counts
            in_flight += 1
            doubtful += not running and session is not None
            if idx in again:
                counts[State(again[idx]).name.lower()] -= 1
        not_run, failed = counts["not_run"], counts["failed"]
        return RunSummary(
            path=str(self._path),
            id=about["id"],
            running=running,
            holder=self._marks.holder() if running else None,
            function_name=identity["function_name"],
            qualifier=identity.get("qualifier"),
            invocation_type=identity["invocation_type"],
            keyed=identity["key"],
            results=bool(identity["results"]),
            identity=identity,
            total=about.get("total"),
            succeeded=counts["succeeded"],
            failed=not_run + failed,
            not_run=not_run,
            may_have_run=counts["may_have_run"] + doubtful,
            settled=counts["settled"],
            in_flight=in_flight - doubtful,
            attempts=counts["attempts"],
            throttled=counts["throttled"],
            versions=dict(self._all("SELECT name, count FROM version WHERE count ORDER BY id")),
            sessions=self._sessions(),
            notes={
                name.removeprefix("note:"): json.loads(value)
                for name, value in about.items()
                if name.startswith("note:")
            },
        )

    @tells_damage
    def causes(self) -> tuple[RecordedCause, ...]:
        """Return the causes of failures, most frequent first, in constant time.

        The cause of an earlier take does not count while the item is in progress again, or may have
        run again.
        """
        replaced = Counter(
            cause
            for state, cause in self._superseded(running=self._marks.is_held()).values()
            if state != State.SETTLED
        )
        rows = self._all(
            "SELECT id, error, code, error_type, delivery, gave_up, example, count FROM cause "
            "WHERE count"
        )
        names = ("number", "error", "code", "error_type", "delivery", "gave_up", "example", "count")
        causes = [
            RecordedCause(**dict(zip(names, (*row, count - replaced[row[0]]), strict=True)))
            for *row, count in rows
            if count > replaced[row[0]]
        ]
        return tuple(sorted(causes, key=lambda cause: (-cause.count, cause.number)))

    @tells_damage
    def outcomes(
        self,
        *,
        ok: bool | None = None,
        cause: int | None = None,
        ended: tuple[int, int] | None = None,
    ) -> Iterator[Outcome[Any]]:
        """Yield the recorded outcomes of items that have ended, in the order of the input.

        Each outcome has `replayed` set.

        Args:
            ok: `True` for successes only, `False` for failures only.
            cause: Only items that failed for the cause with this number.
            ended: A pair `(after, until)` of values of `ends`: only items that ended after the
                first and up to the second.
        """
        wanted = ["item.idx > ?"]
        if ok is not None:
            wanted.append(f"item.state {'=' if ok else '!='} {State.SUCCEEDED.value}")
        if cause is not None:
            wanted.append(f"item.cause = {int(cause)} AND item.state != {State.SETTLED.value}")
        if ended is not None:
            after, until = ended
            wanted.append(f"item.seq > {int(after)} AND item.seq <= {int(until)}")
        causes: dict[int, tuple[CauseKey, str | None]] = {}
        query = f"{ITEM_ROWS} WHERE {' AND '.join(wanted)} ORDER BY item.idx LIMIT {PAGE}"
        last = -1
        while rows := self._all(query, last):
            for fields in rows:
                row = ItemRow(*fields)
                last = row.idx
                yield self._outcome(row, causes)

    @tells_damage
    def unknown(self) -> Iterator[RecordedItem]:
        """Yield the items that may or may not have run, to be looked up in the function's logs.

        Items that were in progress when the process died, and that no later session has reached,
        come first; while the run is in progress there are none of these.
        """
        if not self._marks.is_held():
            for idx, key, digest, session in list(self._flights()):
                if session is not None:
                    yield _in_flight(idx, key, digest, session, State.MAY_HAVE_RUN.name.lower())
        yield from self._in_state(State.MAY_HAVE_RUN)

    @tells_damage
    def settled(self) -> Iterator[RecordedItem]:
        """Yield the items that may have run, and were settled by hand as having run."""
        yield from self._in_state(State.SETTLED)

    def _in_state(self, state: State) -> Iterator[RecordedItem]:
        again = self._superseded(running=self._marks.is_held())
        last = -1
        query = f"{_FIELDS} WHERE item.idx > ? AND item.state = ? ORDER BY item.idx LIMIT {PAGE}"
        while rows := self._all(query, last, state):
            for row in rows:
                last = row[0]
                if last not in again:
                    yield _item(row)

    @tells_damage
    def item(self, *, position: int | None = None, key: str | None = None) -> RecordedItem | None:
        """Return one item with its earlier takes, or `None` if it is not recorded.

        Args:
            position: Its index in the input.
            key: Its key, in a run with keys.
        """
        column, value = ("key", key) if key is not None else ("idx", position)
        held = self._marks.is_held()
        superseded = self._superseded(running=held)
        ended: RecordedItem | None = None
        for row in self._all(f"{_FIELDS} WHERE item.{column} = ?", value):
            ended = _item(row, self._earlier(row[0]))
            if row[0] not in superseded:
                return ended
        for idx, its_key, digest, session in self._flights():
            if value == (its_key if key is not None else idx):
                doubtful = session is not None and not held
                state = State.MAY_HAVE_RUN.name.lower() if doubtful else "in_flight"
                earlier = self._earlier(idx) if ended is None else (*ended.earlier, _take_of(ended))
                return _in_flight(idx, its_key, digest, session or 0, state, earlier)
        return ended

    def _earlier(self, row: int) -> tuple[RecordedTake, ...]:
        return tuple(
            RecordedTake(
                number=take,
                state=State(state).name.lower(),
                cause=cause,
                attempts=attempts,
                session=session,
                started=started,
                elapsed=elapsed / 1e6,
                request_id=unpacked_id(request_id),
            )
            for take, state, cause, attempts, session, started, elapsed, request_id in self._all(
                "SELECT take, state, cause, attempts, session, session.started + began / 1000.0,"
                " elapsed, request_id FROM earlier JOIN session ON session.id = session"
                " WHERE idx = ? ORDER BY take",
                row,
            )
        )

    @tells_damage
    def outcome(
        self, *, position: int | None = None, key: str | None = None
    ) -> Outcome[Any] | None:
        """Return the recorded outcome of one item, or `None` if its latest take has not ended."""
        column, value = ("key", key) if key is not None else ("idx", position)
        superseded = self._superseded(running=self._marks.is_held())
        for row in self._all(f"{ITEM_ROWS} WHERE item.{column} = ?", value):
            fields = ItemRow(*row)
            if fields.idx not in superseded:
                return self._outcome(fields, {})
        return None

    @tells_damage
    def samples(self) -> Iterator[Sample]:
        """Yield the samples of the run, about one per second."""
        return self._samples(0)

    def _samples(self, last: int) -> Iterator[Sample]:
        query = (
            "SELECT sample.rowid, session, session.started + at / 1000.0, succeeded, failed, "
            'in_flight, waiting, "limit", rate, throttles FROM sample '
            "JOIN session ON session.id = session WHERE sample.rowid > ? "
            f"ORDER BY sample.rowid LIMIT {PAGE}"
        )
        while rows := self._all(query, last):
            last = rows[-1][0]
            for _, session, at, succeeded, failed, in_flight, waiting, limit, rate, why in rows:
                yield Sample(
                    session=session,
                    at=at,
                    succeeded=succeeded,
                    failed=failed,
                    in_flight=in_flight,
                    waiting=waiting,
                    limit=limit,
                    rate=rate,
                    throttles=json.loads(why or "{}"),
                )

    @tells_damage
    def latest_sample(self) -> Sample | None:
        """Return the last sample, or `None` if there is none, in constant time."""
        ((last,),) = self._all("SELECT COALESCE(MAX(rowid), 0) FROM sample")
        return next(self._samples(last - 1), None)

    @tells_damage
    def ends(self) -> int:
        """Return how many times an item has ended, counting every take."""
        return int(self._all("SELECT value FROM count WHERE name = 'seq'")[0][0])

    @tells_damage
    def data_version(self) -> int:
        """Return a number that changes with each commit; cheap enough to poll."""
        return int(self._all("PRAGMA data_version")[0][0])

    @tells_damage
    def check(self) -> tuple[str, ...]:
        """Check every page, index and count; return the problems found, or an empty tuple.

        This takes about a second per million items. It cannot detect changed values in an intact
        page. Digests are compared with the input whenever the run is continued.
        """
        return faults(self._all)

    def _sessions(self) -> tuple[RecordedSession, ...]:
        return tuple(
            RecordedSession(
                number=number,
                started=started,
                ended=ended,
                status=status,
                host=host or "",
                pid=pid or 0,
                argv=tuple(json.loads(argv or "[]")),
                options=json.loads(options or "{}"),
            )
            for number, started, ended, status, host, pid, argv, options in self._all(
                "SELECT id, started, ended, status, host, pid, argv, options FROM session ORDER BY id"
            )
        )

    def _flights(self) -> Iterator[tuple[int, str | None, bytes | None, int | None]]:
        """Yield open items: index, key, digest, and the session that may have sent it, if any."""
        rows = self._all(
            "SELECT idx, key, digest, session, boot FROM flight "
            "JOIN session ON session.id = session ORDER BY idx"
        )
        if not rows:
            return
        boot = boot_id()
        run_id = self._all("SELECT value FROM run WHERE name = 'id'")[0][0]
        trusted = boot is not None and self._marks.belong_to(run_id)
        for idx, key, digest, session, its_boot in rows:
            sent = not (trusted and its_boot == boot) or self._marks.get(idx) == mark_of(session)
            yield idx, key, digest, session if sent else None

    def _superseded(self, *, running: bool) -> dict[int, tuple[int, int | None]]:
        """Return the state and cause of recorded outcomes that no longer count, by index.

        Their items are in progress again, or may have run again when a process died. The outcome of
        an item whose next take certainly did not run still counts.
        """
        again = {idx: (state, cause) for idx, state, cause in self._all(_AGAIN)}
        if not again:
            return {}
        return {
            idx: again[idx]
            for idx, _, _, session in self._flights()
            if idx in again and (running or session is not None)
        }

    @tells_damage
    def doubtful(self) -> Iterator[tuple[int, bytes | None, str | None, int, int]]:
        """Yield items that may have run when a process died: row, digest, key, session, take."""
        takes = dict(self._all("SELECT idx, take FROM flight"))
        for idx, key, digest, session in list(self._flights()):
            if session is not None and idx in takes:
                yield idx, digest, key, session, takes[idx]

    def _outcome(
        self, row: ItemRow, causes: dict[int, tuple[CauseKey, str | None]]
    ) -> Outcome[Any]:
        if row.cause is None:
            return outcome_of(row, None, decode=self._decode)
        if row.cause not in causes:
            *key, example = self._all(
                "SELECT error, code, error_type, delivery, gave_up, example FROM cause WHERE id = ?",
                row.cause,
            )[0]
            causes[row.cause] = CauseKey(*key), example
        cause, example = causes[row.cause]
        return outcome_of(row, cause, example=example, decode=self._decode)

    def _all(self, query: str, *values: object) -> list[Any]:
        if self._connection is None:
            raise JournalError(f"{self._path}: it is closed")
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise explained(self._path, error) from None


def open_run(path: str | os.PathLike[str], *, decode: Decode = decode_json) -> RecordedRun:
    """Open a recorded run for reading.

    Args:
        path: The path of the journal.
        decode: The JSON decoder used by the `json()` of recorded responses.

    Returns:
        The run, to be used as a context manager.

    Raises:
        JournalError: The file does not exist, is not a journal, or was written by a newer version.
    """
    return RecordedRun(path, decode=decode)


def _item(row: Any, earlier: tuple[RecordedTake, ...] = ()) -> RecordedItem:
    idx, key, state, digest, cause, session, started, elapsed, request_id, attempts, take = row
    return RecordedItem(
        position=idx,
        key=key,
        state=State(state).name.lower(),
        digest=None if digest is None else digest.hex(),
        cause=cause,
        session=session,
        started=started,
        elapsed=elapsed / 1e6,
        request_id=unpacked_id(request_id),
        attempts=attempts,
        take=take,
        earlier=earlier,
    )


def _take_of(item: RecordedItem) -> RecordedTake:
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


def _in_flight(
    idx: int,
    key: str | None,
    digest: bytes | None,
    session: int,
    state: str,
    earlier: tuple[RecordedTake, ...] = (),
) -> RecordedItem:
    return RecordedItem(
        position=idx,
        key=key,
        state=state,
        digest=None if digest is None else digest.hex(),
        cause=None,
        session=session,
        started=None,
        elapsed=None,
        request_id=None,
        attempts=0,
        take=earlier[-1].number + 1 if earlier else 1,
        earlier=earlier,
    )
