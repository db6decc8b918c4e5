"""The writing side of a journal: sessions, and commits of what was read and what has ended."""

import contextlib
import json
import os
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.recording import Prepared
from asyncinvoke._journal import rows
from asyncinvoke._journal.host import NETWORK, boot_id, file_system, host_name
from asyncinvoke._journal.identity import differences
from asyncinvoke._journal.marks import LockedError, Marks, mark_of
from asyncinvoke._journal.opening import explained, read_only, remove_empty, writing
from asyncinvoke._journal.schema import (
    APPLICATION_ID,
    COUNTS,
    FORMAT,
    KEYED,
    TABLES,
    VIEW,
    State,
)
from asyncinvoke.errors import JournalError, JournalMismatchError

_AT_ONCE = 500
"""How many keys are looked up in one query; older versions of SQLite take no more than 999."""


_ROWS = 64
"""How many rows are inserted by one statement, for the same reason."""


class Lost(NamedTuple):
    """An item that was under way when a process died, and may have run."""

    row: int
    digest: bytes | None
    key: str | None
    session: int
    started: float
    take: int


@dataclass(slots=True)
class Batch:
    """What one commit is to record."""

    reads: list[Prepared] = field(default_factory=list)
    """Items of which nothing is recorded: they get their rows, and their intents."""

    again: list[Prepared] = field(default_factory=list)
    """Items that have their rows, and are to be run as another take: they get new intents."""

    ended: list[tuple[Prepared, Outcome[Any]]] = field(default_factory=list)
    """Items that have ended."""

    left: list[Prepared] = field(default_factory=list)
    """Items that end without an outcome, and surely did not run."""

    notes: dict[str, object] = field(default_factory=dict)
    """What is noted, by name."""

    sample: tuple[Any, ...] | None = None
    """A row of `sample`, but for its session and time."""


class Found(NamedTuple):
    """What is recorded of an item that was read."""

    prepared: Prepared
    digest: bytes | None
    state: State
    take: int


class Store:
    """A journal that is open to be written, by this process alone.

    Its methods block, and are called from one thread at a time.

    Args:
        path: The file.
        keyed: Whether items are known by keys.
        results: Whether what functions return is kept.
        kind: Tells the kind of file system a folder is on.
    """

    def __init__(
        self,
        path: Path,
        *,
        keyed: bool,
        results: bool,
        kind: Callable[[Path], str | None] = file_system,
    ) -> None:
        self.path = path
        self.keyed = keyed
        self.results = results
        self._kind = kind
        self._connection: sqlite3.Connection | None = None
        self._marks: Marks | None = None
        self.session = 0
        self.mark = 0
        self._started = 0.0
        self._file = (0, 0)
        self.lost: dict[int | str, Lost] = {}
        """Items that may have run when a process died, by row or key, until they are read."""
        self.known = 0
        """Rows from here on are not recorded by any earlier session."""
        self._next_row = 0
        self._seq = 0
        self._takes: dict[int, int] = {}
        self._causes: dict[rows.CauseKey, int] = {}
        self._versions: dict[str, int] = {}

    # Sessions.

    def open(self, identity: Mapping[str, object], notes: Mapping[str, object]) -> None:
        """Open or make the journal, check whether it is that of this map, and begin a session.

        Raises:
            JournalError: It cannot be used. Nothing is left open.
        """
        try:
            self._lock()
            self._connection = writing(self.path)
            self._begin(identity, notes)
        except sqlite3.Error as error:
            self.abandon()
            raise explained(self.path, error) from None
        except BaseException:
            self.abandon()
            raise

    def close(self, status: str, *, total: int | None = None) -> None:
        """End the session in order, and close the file.

        Args:
            status: How it ended.
            total: How many items the input has, if that is known now.
        """
        try:
            if self._connection is not None:
                if total is not None:
                    self._set_about("total", total)
                self._execute(
                    "UPDATE session SET ended = ?, status = ? WHERE id = ?",
                    time.time(),
                    status,
                    self.session,
                )
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close all that is open, whatever state it is in."""
        connection, self._connection = self._connection, None
        marks, self._marks = self._marks, None
        try:
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
                if not self.session:
                    with contextlib.suppress(OSError):
                        remove_empty(self.path)
        finally:
            if marks is not None:
                marks.close()

    def _lock(self) -> None:
        kind = self._kind(self.path.absolute().parent)
        if kind in NETWORK:
            raise JournalError(
                f"{self.path}: it is on a network file system ({kind}), where SQLite's locks and "
                "shared memory do not hold: put it on a local disk"
            )
        if not self.path.absolute().parent.is_dir():
            raise JournalError(f"{self.path}: the folder {self.path.parent} is not there")
        if self.path.is_dir():
            raise JournalError(f"{self.path}: it is a folder")
        if self.path.exists() and self.path.stat().st_size:
            read_only(self.path).close()  # before anything is made beside a file of somebody else's
        try:
            self._marks = Marks.locked(self.path)
        except LockedError:
            raise JournalError(f"{self.path}: it is in use by {self._holder()}") from None

    def _holder(self) -> str:
        with contextlib.suppress(JournalError, sqlite3.Error):
            connection = read_only(self.path)
            try:
                host, pid = connection.execute(
                    "SELECT host, pid FROM session ORDER BY id DESC LIMIT 1"
                ).fetchone()
            finally:
                connection.close()
            return f"process {pid} on {host}"
        return "another process"

    def _begin(self, identity: Mapping[str, object], notes: Mapping[str, object]) -> None:
        assert self._marks is not None  # noqa: S101  # `_lock` was called
        boot = boot_id()
        about = self._about()
        if about is None:
            run_id = uuid.uuid4().hex
            self._marks.clear()
            with self._transaction():
                self._make(run_id, identity)
        else:
            run_id = about["id"]
            found = differences(json.loads(about["identity"]), identity)
            if found:
                raise JournalMismatchError(
                    f"{self.path}: it is the journal of another run: {'; '.join(found)}",
                    differences=found,
                )
        self._check_copy(about)
        trusted = self._marks.run_id() == run_id
        if not trusted:
            self._marks.clear()
            self._marks.begin(run_id)
        self._load(boot, trusted=trusted)
        self._started = time.time()
        self._file = self._identity_of_file()
        with self._transaction():
            self._execute(
                "INSERT INTO session (id, started, host, pid, boot) VALUES (?, ?, ?, ?, ?)",
                self.session,
                self._started,
                host_name(),
                os.getpid(),
                boot,
            )
            self._keep_notes(notes)
            self._set_about("file", json.dumps([str(self.path.absolute()), *self._file]))
        # From here on the file itself says that this session has begun. A copy of it without the
        # files beside it does not pass for a run that has come to an end.
        self._execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _sync_folder(self.path)

    def _about(self) -> dict[str, Any] | None:
        if not self._all("SELECT 1 FROM sqlite_master WHERE name = 'run'"):
            return None
        return dict(self._all("SELECT name, value FROM run"))

    def _make(self, run_id: str, identity: Mapping[str, object]) -> None:
        for statement in f"{TABLES}{VIEW}{KEYED if self.keyed else ''}".split(";\n"):
            if statement.strip():
                self._execute(statement)
        self._execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._execute(f"PRAGMA user_version = {FORMAT}")
        self._set_about("id", run_id)
        self._set_about("created", time.time())
        self._set_about("identity", json.dumps(dict(identity)))
        self._many("INSERT INTO count VALUES (?, 0)", [(name,) for name in (*COUNTS, "seq")])

    def _check_copy(self, about: Mapping[str, Any] | None) -> None:
        """Refuse a copy whose original is still there, and one without the files beside it."""
        assert self._marks is not None  # noqa: S101  # `_lock` was called
        if about is None or "file" not in about:
            return
        original, *file = json.loads(about["file"])
        here = list(self._identity_of_file())
        if file != here and Path(original).absolute() != self.path.absolute():
            with contextlib.suppress(OSError):
                other = Path(original).stat()
                if [other.st_dev, other.st_ino] == file:
                    raise JournalError(
                        f"{self.path}: it is a copy of {original}, which is still there: "
                        "to continue both would run items twice"
                    )
        last = self._all("SELECT ended FROM session ORDER BY id DESC LIMIT 1")
        if last and last[0][0] is None and self._marks.run_id() is None:
            raise JournalError(
                f"{self.path}: its last session did not end in order, and {self.path}-marks is "
                "missing: it was copied without the files beside it, whose names begin as its own"
            )

    def _identity_of_file(self) -> tuple[int, int]:
        found = self.path.stat()
        return found.st_dev, found.st_ino

    def _load(self, boot: str | None, *, trusted: bool) -> None:
        assert self._marks is not None  # noqa: S101  # `_lock` was called
        (self.session,) = self._all("SELECT 1 + COALESCE(MAX(id), 0) FROM session")[0]
        self.mark = mark_of(self.session)
        flights = self._all(
            "SELECT idx, digest, key, session, take, started, boot FROM flight "
            "JOIN session ON session.id = session"
        )
        surely_not = []
        for row, digest, key, session, take, started, its_boot in flights:
            asked = trusted and boot is not None and its_boot == boot
            if asked and self._marks.get(row) != mark_of(session):
                surely_not.append((row,))
            else:
                lost = Lost(row, digest, key, session, started, take)
                self.lost[key if self.keyed and key is not None else row] = lost
        self._many("DELETE FROM flight WHERE idx = ?", surely_not)
        (last,) = self._all(
            "SELECT MAX(COALESCE((SELECT MAX(idx) FROM item), -1),"
            " COALESCE((SELECT MAX(idx) FROM flight), -1))"
        )[0]
        self.known = self._next_row = last + 1
        ((self._seq,),) = self._all("SELECT value FROM count WHERE name = 'seq'")
        # Of items that are to be run again, since a person settled that they did not run.
        self._takes = dict(
            self._all(
                "SELECT idx, MAX(take) FROM earlier WHERE idx NOT IN (SELECT idx FROM item)"
                " GROUP BY idx"
            )
        )
        for number, *key in self._all(
            "SELECT id, error, code, error_type, delivery, gave_up FROM cause"
        ):
            self._causes[rows.CauseKey(*key)] = number
        self._versions = {
            name: number for number, name in self._all("SELECT id, name FROM version")
        }

    # Marks: called from the event loop, for each item.

    def set_mark(self, row: int) -> None:
        """Note that the first request of an item is sent now."""
        if self._marks is not None:
            self._marks.set(row, self.mark)

    def unset_mark(self, row: int) -> None:
        """Note that an item surely did not run."""
        if self._marks is not None:
            self._marks.set(row, 0)

    # Looking up and committing.

    def look_up(self, reads: list[Prepared]) -> tuple[list[Found], list[Prepared]]:
        """Return what is recorded of items, and those of which nothing is.

        Of an item that may have run when a process died nothing else is said: see `lost`.
        """
        recorded: dict[Any, Any] = {}
        if self.keyed:
            for first in range(0, len(reads), _AT_ONCE):
                keys = [each.key for each in reads[first : first + _AT_ONCE]]
                marks = ",".join("?" * len(keys))
                for row, key, *rest in self._all(
                    f"SELECT idx, key, digest, state, take FROM item WHERE key IN ({marks})", *keys
                ):
                    recorded[key] = row, rest
        elif reads and reads[0].index < self.known:
            for row, *rest in self._all(
                "SELECT idx, digest, state, take FROM item WHERE idx BETWEEN ? AND ?",
                reads[0].index,
                reads[-1].index,
            ):
                recorded[row] = row, rest
        found, fresh = [], []
        for prepared in reads:
            name = prepared.key if self.keyed else prepared.index
            known = recorded.get(name)
            if known is None or name in self.lost:
                fresh.append(prepared)
            else:
                prepared.row, (digest, state, take) = known
                found.append(Found(prepared, digest, State(state), take))
        return found, fresh

    def outcomes(self, wanted: list[Found]) -> list[tuple[Prepared, Outcome[Any]]]:
        """Return the recorded outcomes of items, each with the codec of its call."""
        names = {number: key for key, number in self._causes.items()}
        given = []
        for each in wanted:
            row = rows.ItemRow(
                *self._all(f"{rows.ITEM_ROWS} WHERE item.idx = ?", each.prepared.row)[0]
            )
            cause = example = None
            if row.cause is not None:
                cause = names[row.cause]
                ((example,),) = self._all("SELECT example FROM cause WHERE id = ?", row.cause)
            call = each.prepared.call
            outcome = rows.outcome_of(
                row,
                cause,
                index=each.prepared.index,
                example=example,
                **({} if call is None else {"decode": call.decode}),
            )
            given.append((each.prepared, outcome))
        return given

    def commit(self, batch: Batch) -> None:
        """Record a batch, all of it or nothing.

        Raises:
            JournalError: It cannot be recorded.
        """
        try:
            if self._identity_of_file() != self._file:
                raise JournalError(f"{self.path}: another file was put in its place")
        except OSError:
            raise JournalError(f"{self.path}: it was deleted while the run was under way") from None
        try:
            with self._transaction():
                self._write(batch)
        except sqlite3.Error as error:
            raise explained(self.path, error) from None

    def _write(self, batch: Batch) -> None:
        deltas: Counter[str] = Counter()
        if batch.reads or batch.again:
            self._intend(batch)
        if batch.ended:
            self._end(batch.ended, deltas)
        if batch.left:
            self._land([each.row for each in batch.left])
        if batch.notes:
            self._keep_notes(batch.notes)
        if batch.sample is not None:
            self._execute(
                "INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                self.session,
                round((time.time() - self._started) * 1000),
                *batch.sample,
            )
        self._many(
            "UPDATE count SET value = value + ? WHERE name = ?",
            [(change, name) for name, change in deltas.items() if change],
        )

    def _intend(self, batch: Batch) -> None:
        for prepared in batch.reads:
            # The row of a key that is new is free, and is its position wherever that is free, too.
            prepared.row = prepared.index
            if self.keyed:
                prepared.row = max(prepared.index, self._next_row)
                self._next_row = prepared.row + 1
            if self._takes:
                prepared.take = self._takes.get(prepared.row, 0) + 1
        self._insert(
            "INSERT OR REPLACE INTO flight",
            [
                (each.row, each.digest, each.key, self.session, each.take)
                for each in (*batch.reads, *batch.again)
            ],
        )

    def _end(self, ended: list[tuple[Prepared, Outcome[Any]]], deltas: Counter[str]) -> None:
        items, results = [], []
        causes: Counter[int] = Counter()
        versions: Counter[int] = Counter()
        for prepared, outcome in ended:
            if prepared.take > 1:
                self._put_aside(prepared.row, deltas, causes, versions)
            error, response = outcome.error, outcome.response
            state = rows.state_of(error)
            attempts, throttled = rows.counts_of(outcome.attempts)
            deltas[state.name.lower()] += 1
            deltas["attempts"] += attempts
            deltas["throttled"] += throttled
            status = request_id = cause = version = None
            if error is not None:
                cause = self._cause(error)
                causes[cause] += 1
                status = getattr(error, "status_code", None)
                request_id = getattr(error, "request_id", None)
                response = getattr(error, "response", None)
            if response is not None:
                status = None if response.status_code == 200 else response.status_code
                request_id = response.request_id
                if response.executed_version is not None:
                    version = self._version(response.executed_version)
                    versions[version] += 1
            self._seq += 1
            items.append(
                (
                    prepared.row,
                    prepared.digest,
                    prepared.key,
                    state,
                    cause,
                    prepared.take,
                    attempts,
                    throttled,
                    self.session,
                    version,
                    status,
                    round((outcome.started - self._started) * 1000),
                    round(outcome.elapsed * 1_000_000),
                    rows.packed_id(request_id),
                    self._seq,
                )
            )
            body, facts = rows.result_of(outcome, results=self.results)
            if body is not None or facts is not None:
                results.append((prepared.row, body, facts))
        self._insert("INSERT INTO item", items)
        self._land([each[0] for each in items])
        self._insert("INSERT INTO result", results)
        self._many(
            "UPDATE cause SET count = count + ? WHERE id = ?",
            [(change, number) for number, change in causes.items() if change],
        )
        self._many(
            "UPDATE version SET count = count + ? WHERE id = ?",
            [(change, number) for number, change in versions.items() if change],
        )
        deltas["seq"] += len(items)

    def _put_aside(
        self,
        row: int,
        deltas: Counter[str],
        causes: Counter[int],
        versions: Counter[int],
    ) -> None:
        """Move what is recorded of an item to the earlier takes, if it is still where it was."""
        for state, cause, attempts, throttled, version in self._all(
            "SELECT state, cause, attempts, throttled, version FROM item WHERE idx = ?", row
        ):
            deltas[State(state).name.lower()] -= 1
            deltas["attempts"] -= attempts
            deltas["throttled"] -= throttled
            if cause is not None and state != State.SETTLED:
                causes[cause] -= 1
            if version is not None:
                versions[version] -= 1
            self._execute(
                "INSERT OR REPLACE INTO earlier SELECT idx, take, state, cause, attempts, session,"
                " began, elapsed, request_id FROM item WHERE idx = ?",
                row,
            )
            self._execute("DELETE FROM item WHERE idx = ?", row)
            self._execute("DELETE FROM result WHERE idx = ?", row)

    def _cause(self, error: Any) -> int:
        key = rows.cause_of(error)
        number = self._causes.get(key)
        if number is None:
            number = len(self._causes) + 1
            self._execute(
                "INSERT INTO cause VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                number,
                *key,
                rows.example_of(error, results=self.results),
            )
            self._causes[key] = number
        return number

    def _version(self, name: str) -> int:
        number = self._versions.get(name)
        if number is None:
            number = len(self._versions) + 1
            self._execute("INSERT INTO version VALUES (?, ?, 0)", number, name)
            self._versions[name] = number
        return number

    def _keep_notes(self, notes: Mapping[str, object]) -> None:
        for name, each in notes.items():
            self._set_about(f"note:{name}", json.dumps(each))

    def _set_about(self, name: str, value: object) -> None:
        self._execute("INSERT OR REPLACE INTO run VALUES (?, ?)", name, value)

    # SQLite.

    @contextlib.contextmanager
    def _transaction(self) -> Any:
        seq, causes, versions = self._seq, dict(self._causes), dict(self._versions)
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
            self._execute("COMMIT")
        except BaseException:
            self._seq, self._causes, self._versions = seq, causes, versions
            with contextlib.suppress(sqlite3.Error):
                self._execute("ROLLBACK")
            raise

    def _execute(self, statement: str, *values: object) -> None:
        assert self._connection is not None  # noqa: S101  # it is open
        self._connection.execute(statement, values).close()

    def _many(self, statement: str, values: list[tuple[Any, ...]]) -> None:
        if values:
            assert self._connection is not None  # noqa: S101  # it is open
            self._connection.executemany(statement, values).close()

    def _insert(self, statement: str, values: list[tuple[Any, ...]]) -> None:
        """Insert rows, many in a statement.

        SQLite runs without Python's lock, and each time that it comes back it has to wait for it,
        for as long as five milliseconds while the event loop is busy: once a statement.
        """
        for first in range(0, len(values), _ROWS):
            group = values[first : first + _ROWS]
            row = f"({','.join('?' * len(group[0]))})"
            self._execute(
                f"{statement} VALUES {','.join([row] * len(group))}", *chain.from_iterable(group)
            )

    def _land(self, indexes: list[int]) -> None:
        """Take intents away."""
        for first in range(0, len(indexes), _AT_ONCE):
            group = indexes[first : first + _AT_ONCE]
            self._execute(f"DELETE FROM flight WHERE idx IN ({','.join('?' * len(group))})", *group)

    def _all(self, query: str, *values: object) -> list[Any]:
        assert self._connection is not None  # noqa: S101  # it is open
        return self._connection.execute(query, values).fetchall()


def _sync_folder(path: Path) -> None:
    """Make sure that a file which was made is found after a power cut."""
    with contextlib.suppress(OSError):
        folder = os.open(path.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
