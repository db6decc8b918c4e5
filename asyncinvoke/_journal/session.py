"""Starts a session: checks that the journal belongs to this map, and what earlier sessions left."""

import contextlib
import json
import os
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from asyncinvoke._journal.committing import keep_notes
from asyncinvoke._journal.flights import (
    Unfinished,
    check_marks,
    has_ended_in_order,
    read_unfinished,
)
from asyncinvoke._journal.host import NETWORK, boot_id, host_name
from asyncinvoke._journal.identity import differences
from asyncinvoke._journal.locked_file import LockedError
from asyncinvoke._journal.marks import Marks, ReadMarks, mark_of
from asyncinvoke._journal.older import check_not_older
from asyncinvoke._journal.opening import read_only
from asyncinvoke._journal.paths import check_path, identity_of_file
from asyncinvoke._journal.schema import (
    APPLICATION_ID,
    COUNTS,
    FIRST_FORMAT,
    FORMAT,
    KEYED,
    TABLES,
    VIEW,
)
from asyncinvoke._journal.statements import Statements
from asyncinvoke.errors import JournalError, JournalMismatchError

_NOTES = "SELECT name, value FROM run WHERE name LIKE 'note:%'"


def lock(path: Path, kind: Callable[[Path], str | None]) -> Marks:
    """Lock a journal, which may not exist yet, and return its marks.

    Args:
        path: The path of the journal.
        kind: Returns the type of the file system that a folder is on.

    Raises:
        JournalError: There can be no journal at this path, or another process is using it.
    """
    check_path(path, may_be_missing=True)
    folder = path.resolve().parent
    system = kind(folder)
    if system in NETWORK:
        raise JournalError(
            f"{path}: it is on a network file system ({system}), where SQLite's locks and "
            "shared memory do not hold: put it on a local disk"
        )
    if path.exists() and path.stat().st_size:
        # Raises for a file that is not a journal, before another file is created beside it.
        read_only(path, may_be_empty=True).close()
    try:
        marks = Marks.locked(path)
    except LockedError:
        with closing(ReadMarks(path)) as theirs:
            holder = theirs.holder() or "another process"
        raise JournalError(f"{path}: it is in use by {holder}") from None
    with contextlib.ExitStack() as stack:
        stack.callback(marks.close)
        if marks.run_id() is not None and not path.exists():
            # A new journal would run everything again.
            raise JournalError(
                f"{path}: it was deleted, and {path}-marks beside it was not: restore it, or remove "
                "that file too to begin another run"
            )
        stack.pop_all()
    return marks


class Session:
    """The start of a session: it checks the journal, begins, and is then proven or refused.

    A refused session must leave no trace: people may inspect the journal, and `runs redrive` reads
    its input according to the notes in it. An input that can be read twice is compared between
    `look` and `begin`. Any other input, such as standard input, is compared while it is read. Until
    there is something to record, the session is only a row in its table, which shows that a process
    is using the journal; the row is removed if the input turns out to be a different one. Items
    that have run by then stay recorded, but the notes do not.

    Everything except `look` runs within transactions.

    Args:
        path: The path of the journal, as shown in messages.
        sql: An open connection to it.
        marks: Its marks, locked.
        real: The resolved path, which stays valid if the process changes its working directory.
        keyed: Whether items are identified by keys.
    """

    def __init__(
        self, path: Path, sql: Statements, marks: Marks, *, real: Path, keyed: bool
    ) -> None:
        self._path = path
        self._real = real
        self._sql = sql
        self._marks = marks
        self._keyed = keyed
        self._run_id = ""
        self._identity: Mapping[str, object] = {}
        self._is_trusted = False
        self._before: dict[str, Any] = {}
        self.is_first = False
        """Whether this session created the journal."""
        self.number = 0
        """The number of the session, from 1."""
        self.started = 0.0
        """When the session started, in seconds since the epoch."""
        self.left = Unfinished()
        """What the earlier sessions have left."""
        self._first_format = FORMAT
        self.is_proven = False
        """Whether the input is known to be that of the run, as far as it has been read."""

    @property
    def has_longer_digests(self) -> bool:
        """Whether an older version created the journal, whose digests were longer."""
        return self._first_format != FORMAT

    def look(self, identity: Mapping[str, object]) -> None:
        """Check that this is the journal of this map, and read what the earlier sessions left.

        This changes nothing, as it is not known yet whether the input is that of the run.

        Raises:
            JournalError: It is the journal of a different run, or a copy.
        """
        about = self._about()
        self.is_first = about is None
        if about is None:
            self._run_id = uuid.uuid4().hex
        else:
            self._run_id = about["id"]
            self._check_identity(json.loads(about["identity"]), identity)
            self._check_copy(about)
            self._check_pages()
            ((version,),) = self._sql.all("PRAGMA user_version")
            self._first_format = int(about.get(FIRST_FORMAT, version))
            self._is_trusted = self._marks.belong_to(self._run_id)
            check_not_older(self._path, self._sql.all, self._marks)
            self.left = read_unfinished(self._sql.all, self._marks, keyed=self._keyed)
        self._identity = identity

    def begin(self) -> None:
        """Begin the session, creating the journal if it is new; everything else is done by `prove`.

        Raises:
            JournalError: The marks cannot be written.
        """
        sql, marks = self._sql, self._marks
        if self.is_first:
            self._make(self._run_id, self._identity)
        # Items that may have run must still count as such if this session does not reach them. The
        # ID of the run is written last: until then, the marks are not consulted.
        if not self._is_trusted:
            marks.clear()
        for lost in self.left.lost.values():
            marks.set(lost.row, mark_of(lost.session))
        if not self._is_trusted:
            marks.begin(self._run_id)
        ((self.number,),) = sql.all("SELECT 1 + COALESCE(MAX(id), 0) FROM session")
        self.started = time.time()
        sql.insert(
            "INSERT INTO session (id, started, host, pid, boot)",
            [(self.number, self.started, host_name(), os.getpid(), boot_id())],
        )

    def prove(self, notes: Mapping[str, object]) -> None:
        """Accept the input as that of the run: store its notes, and clean up old intents."""
        sql = self._sql
        self.is_proven = True
        self._before = dict(sql.all(_NOTES))
        keep_notes(sql, notes)
        sql.named("DELETE FROM flight WHERE idx IN", self.left.not_sent)
        if self._first_format != FORMAT:
            sql.set_about(FIRST_FORMAT, self._first_format)
        sql.do(f"PRAGMA user_version = {FORMAT}")
        self._set_file()

    def refuse(self) -> None:
        """Undo the session, because the input is a different one."""
        sql = self._sql
        if not self.is_proven:
            sql.do("DELETE FROM session WHERE id = ?", self.number)
            return
        for name, _ in sql.all(_NOTES):
            sql.do("DELETE FROM run WHERE name = ?", name)
        for name, value in self._before.items():
            sql.set_about(name, value)

    def _about(self) -> dict[str, Any] | None:
        if not self._sql.all("SELECT 1 FROM sqlite_master WHERE name = 'run'"):
            return None
        return dict(self._sql.all("SELECT name, value FROM run"))

    def _make(self, run_id: str, identity: Mapping[str, object]) -> None:
        sql = self._sql
        for statement in f"{TABLES}{VIEW}{KEYED if self._keyed else ''}".split(";\n"):
            if statement.strip():
                sql.do(statement)
        sql.do(f"PRAGMA application_id = {APPLICATION_ID}")
        sql.do(f"PRAGMA user_version = {FORMAT}")
        sql.set_about("id", run_id)
        sql.set_about("identity", json.dumps(dict(identity)))
        self._set_file()
        sql.insert("INSERT INTO count", [(name, 0) for name in (*COUNTS, "seq")])

    def _set_file(self) -> None:
        """Record the identity of the file, so that a copy can be detected."""
        file = [str(self._real), *identity_of_file(self._real)]
        self._sql.set_about("file", json.dumps(file))

    def _check_identity(self, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        found = differences(was, now)
        if found:
            raise JournalMismatchError(
                f"{self._path}: it is the journal of another run: {'; '.join(found)}",
                differences=found,
            )

    def _check_copy(self, about: Mapping[str, Any]) -> None:
        """Refuse a copy whose original still exists, and one without its marks."""
        if "file" not in about:
            return
        original, *file = json.loads(about["file"])
        real = self._real
        if file != list(identity_of_file(real)) and Path(original) != real:
            with contextlib.suppress(OSError):
                if list(identity_of_file(Path(original))) == file:
                    raise JournalError(
                        f"{self._path}: it is a copy of {original}, which is still there: "
                        "to continue both would run items twice"
                    )
        check_marks(self._path, self._marks, self._sql.all)

    def _check_pages(self) -> None:
        """Check all pages if the last session did not end in order, as after a power failure.

        This takes a tenth of the time needed to read the input again.
        """
        if not has_ended_in_order(self._sql.all):
            ((finding,),) = self._sql.all("PRAGMA quick_check(1)")
            if finding != "ok":
                raise JournalError(f"{self._path}: it is damaged: {' '.join(finding.split())}")
