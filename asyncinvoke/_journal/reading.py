"""Reading a recorded run: synchronous, without an event loop, and read-only."""

import contextlib
import os
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Self

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._journal.damage import explained, explains_damage, problems
from asyncinvoke._journal.flights import Flight, read_flights
from asyncinvoke._journal.marks import ReadMarks
from asyncinvoke._journal.opening import read_only
from asyncinvoke._journal.recorded import (
    CAUSES,
    ITEMS,
    SAMPLES,
    SESSIONS,
    TAKES,
    causes_of,
    column_of,
    current_take_of,
    in_progress,
    item_of,
    sample_of,
    session_of,
    summary_of,
    take_of,
)
from asyncinvoke._journal.restoring import ITEM_ROWS, ItemRow, outcome_of
from asyncinvoke._journal.rows import CauseKey
from asyncinvoke._journal.schema import State
from asyncinvoke._journal.values import (
    RecordedCause,
    RecordedItem,
    RecordedTake,
    RunSummary,
    Sample,
)
from asyncinvoke._model.response import Decode, decode_json
from asyncinvoke.errors import JournalError

PAGE = 1000
"""Rows read at once. A single long read transaction would keep SQLite from checkpointing the WAL,
so each page is a transaction of its own, and the run may commit between pages."""

PAGE_BYTES = 8 << 20
"""The size of the results after which a page ends, in bytes: a thousand may take gigabytes."""


class RecordedRun:
    """A recorded run, opened for reading by `open_run`; a context manager.

    The run may still be in progress. Each method sees what is committed at the time it reads, and
    none blocks the process that writes.
    """

    def __init__(self, path: str | os.PathLike[str], *, decode: Decode = decode_json) -> None:
        self._path = Path(path)
        self._decode = decode
        with contextlib.ExitStack() as opened:
            connection = opened.enter_context(contextlib.closing(read_only(self._path)))
            self._marks = ReadMarks(self._path)
            opened.pop_all()
        self._connection: sqlite3.Connection | None = connection

    @property
    def path(self) -> Path:
        """The path of the journal."""
        return self._path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._marks.close()

    def __repr__(self) -> str:
        return f"<RecordedRun {str(self._path)!r}>"

    @explains_damage
    def summary(self) -> RunSummary:
        """Return the identity and progress of the run, in constant time."""
        is_running = self._marks.is_held()
        with self._snapshot():
            return summary_of(
                str(self._path),
                dict(self._all("SELECT name, value FROM run")),
                dict(self._all("SELECT name, value FROM count")),
                self._in_progress(is_running=is_running).values(),
                tuple(map(session_of, self._all(SESSIONS))),
                dict(self._all("SELECT name, count FROM version WHERE count ORDER BY id")),
                holder=self._marks.holder() if is_running else None,
                is_running=is_running,
            )

    @explains_damage
    def causes(self) -> tuple[RecordedCause, ...]:
        """Return the causes of failures, most frequent first, in constant time.

        The cause of an earlier take does not count while the item is in progress again, or may have
        run again.
        """
        with self._snapshot():
            again = self._in_progress(is_running=self._marks.is_held())
            return causes_of(self._all(CAUSES), again.values())

    @explains_damage
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
        while rows := self._page(query, last):
            for row in rows:
                last = row.idx
                yield self._outcome(row, causes)

    @explains_damage
    def unknown(self) -> Iterator[RecordedItem]:
        """Yield the items that may or may not have run, to be looked up in the function's logs.

        Items that were in progress when the process died, and that no later session has reached,
        come first; while the run is in progress there are none of these.
        """
        if not self._marks.is_held():
            for flight in self.lost():
                yield in_progress(flight, is_running=False)
        yield from self._in_state(State.MAY_HAVE_RUN)

    @explains_damage
    def settled(self) -> Iterator[RecordedItem]:
        """Yield the items that may have run, and were settled by hand as having run."""
        yield from self._in_state(State.SETTLED)

    def _in_state(self, state: State) -> Iterator[RecordedItem]:
        again = self._in_progress(is_running=self._marks.is_held())
        last = -1
        query = f"{ITEMS} WHERE item.idx > ? AND item.state = ? ORDER BY item.idx LIMIT {PAGE}"
        while rows := self._all(query, last, state):
            for row in rows:
                last = row[0]
                if last not in again:
                    yield item_of(row)

    @explains_damage
    def item(self, *, position: int | None = None, key: str | None = None) -> RecordedItem | None:
        """Return one item with its earlier takes, or `None` if it is not recorded.

        Args:
            position: Its index in the input.
            key: Its key, in a run with keys.
        """
        column, value = column_of(position, key)
        is_running = self._marks.is_held()
        again = self._in_progress(is_running=is_running)
        ended: RecordedItem | None = None
        for row in self._all(f"{ITEMS} WHERE item.{column} = ?", value):
            ended = item_of(row, self._earlier(row[0]))
            if row[0] not in again:
                return ended
        for flight in again.values():
            if value == (flight.row if key is None else flight.key):
                earlier = self._earlier(flight.row)
                if ended is not None:
                    earlier = (*ended.earlier, current_take_of(ended))
                return in_progress(flight, is_running=is_running, earlier=earlier)
        return ended

    def _earlier(self, row: int) -> tuple[RecordedTake, ...]:
        return tuple(map(take_of, self._all(TAKES, row)))

    @explains_damage
    def outcome(
        self, *, position: int | None = None, key: str | None = None
    ) -> Outcome[Any] | None:
        """Return the recorded outcome of one item, or `None` if its latest take has not ended."""
        column, value = column_of(position, key)
        again = self._in_progress(is_running=self._marks.is_held())
        for row in self._all(f"{ITEM_ROWS} WHERE item.{column} = ?", value):
            fields = ItemRow(*row)
            if fields.idx not in again:
                return self._outcome(fields, {})
        return None

    @explains_damage
    def samples(self) -> Iterator[Sample]:
        """Yield the samples of the run, about one per second."""
        yield from self._samples(0)

    def _samples(self, last: int) -> Iterator[Sample]:
        query = f"{SAMPLES} WHERE sample.rowid > ? ORDER BY sample.rowid LIMIT {PAGE}"
        while rows := self._all(query, last):
            last = rows[-1][0]
            yield from map(sample_of, rows)

    @explains_damage
    def latest_sample(self) -> Sample | None:
        """Return the last sample, or `None` if there is none, in constant time."""
        ((last,),) = self._all("SELECT COALESCE(MAX(rowid), 0) FROM sample")
        return next(self._samples(last - 1), None)

    @explains_damage
    def ends(self) -> int:
        """Return how many times an item has ended, counting every take."""
        return int(self._all("SELECT value FROM count WHERE name = 'seq'")[0][0])

    @explains_damage
    def data_version(self) -> int:
        """Return a number that changes with each commit; cheap enough to poll."""
        return int(self._all("PRAGMA data_version")[0][0])

    @explains_damage
    def check(self) -> tuple[str, ...]:
        """Check every page, index and count; return the problems found, or an empty tuple.

        This takes about a second per million items. It cannot detect changed values in an intact
        page. Digests are compared with the input whenever the run is continued.
        """
        return problems(self._all)

    @explains_damage
    def lost(self) -> list[Flight]:
        """Return the items that may have run when a process died, in the order of their rows."""
        return [flight for flight in read_flights(self._all, self._marks) if flight.may_have_run]

    def _in_progress(self, *, is_running: bool) -> dict[int, Flight]:
        """Return the items in progress, or in progress when their process died, by row.

        If an item has ended before and its next take certainly did not run, it is left out, because
        the earlier outcome still counts.
        """
        return {
            flight.row: flight
            for flight in read_flights(self._all, self._marks)
            if is_running or flight.may_have_run or flight.earlier_state is None
        }

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

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Read everything in the block as it was at one moment, though the run goes on."""
        self._all("BEGIN")
        try:
            yield
        finally:
            self._all("COMMIT")

    def _page(self, query: str, *values: object) -> list[ItemRow]:
        """Return the first rows with results of up to `PAGE_BYTES`, at least one if there is any."""
        page, size = [], 0
        with contextlib.closing(self._each(query, *values)) as rows:
            for fields in rows:
                row = ItemRow(*fields)
                page.append(row)
                size += len(row.body or b"")
                if size >= PAGE_BYTES:
                    break
        return page

    def _all(self, query: str, *values: object) -> list[Any]:
        return list(self._each(query, *values))

    def _each(self, query: str, *values: object) -> Generator[Any, None, None]:
        if self._connection is None:
            raise JournalError(f"{self._path}: it is closed")
        try:
            with contextlib.closing(self._connection.execute(query, values)) as cursor:
                yield from cursor
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
