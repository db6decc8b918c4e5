"""A journal opened for writing: its session, its marks, and its commits."""

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.prepared import Prepared
from asyncinvoke._journal.committing import Commit, Numbering
from asyncinvoke._journal.damage import FAILED, damage_told, explained
from asyncinvoke._journal.deciding import Found
from asyncinvoke._journal.flights import Unfinished
from asyncinvoke._journal.host import file_system
from asyncinvoke._journal.lookups import Lookups
from asyncinvoke._journal.marks import NO_MARK, Marks, mark_of
from asyncinvoke._journal.opening import remove_new, writing
from asyncinvoke._journal.paths import OpenFiles, resolved
from asyncinvoke._journal.pending import CommitBatch
from asyncinvoke._journal.session import Session, lock
from asyncinvoke._journal.statements import Statements


class Store:
    """A journal opened for writing, exclusively by this process.

    Its methods block, and must be called from one thread at a time; those for marks do not block,
    and may be called from any thread.

    Args:
        path: The path of the journal.
        keyed: Whether items are identified by keys.
        results: Whether to store the functions' responses.
        kind: Returns the type of the file system that a folder is on.
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
        self._real = path
        self._results = results
        self._kind = kind
        self._marks: Marks | None = None
        self._statements: Statements | None = None
        self._session: Session | None = None
        self._lookups: Lookups | None = None
        self._numbering: Numbering | None = None
        self._files: OpenFiles | None = None
        self._mark = NO_MARK
        self._is_new = False
        self._has_begun = False

    @property
    def left(self) -> Unfinished:
        """What the earlier sessions have left."""
        return self._begun.left

    @property
    def lookups(self) -> Lookups:
        """Queries about the recorded items."""
        assert self._lookups is not None  # noqa: S101  # it is open
        return self._lookups

    def open(self, identity: Mapping[str, object]) -> None:
        """Open or create the journal, and check that it belongs to this map; call `begin` next.

        Raises:
            JournalError: It cannot be used. Nothing is left open.
        """
        try:
            self._real = resolved(self.path)
            self._marks = lock(self.path, self._kind)
            self._is_new = not _has_content(self._real)
            self._statements = sql = Statements(writing(self.path))
            self._session = Session(self.path, sql, self._marks, real=self._real, keyed=self.keyed)
            with damage_told(self.path):
                self._session.look(identity)
            self._files = OpenFiles(self.path, self._real)
            self._lookups = Lookups(
                self.path,
                sql,
                self._session.left,
                keyed=self.keyed,
                has_longer_digests=self._session.has_longer_digests,
            )
        except FAILED as error:
            self.abandon()
            raise explained(self.path, error) from None
        except BaseException:
            self.abandon()
            raise

    def begin(self, notes: Mapping[str, object] | None) -> None:
        """Begin the session.

        Args:
            notes: The notes to store; `None` if it is not known yet whether the input is that of
                the run. The first commit that records anything of the input accepts it then.

        Raises:
            JournalError: The journal cannot be written. It is closed, and unchanged.
        """
        session, sql = self._begun, self._sql
        try:
            self._open_files.check()  # comparing the input may have taken minutes
            with sql.transaction():
                session.begin()
                with damage_told(self.path):
                    self._numbering = Numbering(sql)
            self._mark = mark_of(session.number)
            # From here on, the file itself records that this session has begun. So a copy of the
            # file without its WAL is not mistaken for a run that has ended in order.
            sql.do("PRAGMA wal_checkpoint(TRUNCATE)")
            if session.is_first:
                _sync_folder(self._real.parent)
            if notes is not None:
                with sql.transaction():
                    session.prove(notes)
            self._open_files.add_beside()
            self._has_begun = True
        except BaseException as error:
            session.is_proven = False
            self.retract()
            if isinstance(error, FAILED):
                raise explained(self.path, error) from None
            raise

    @property
    def is_proven(self) -> bool:
        """Whether the input is known to be that of the run, as far as it has been read."""
        return self._begun.is_proven

    def retract(self) -> None:
        """Undo a session that has recorded nothing, as far as possible, and close."""
        self._has_begun, session = False, self._session
        if self._statements is not None and session is not None and session.number:
            with contextlib.suppress(*FAILED), self._statements.transaction():
                session.refuse()
        self.abandon()

    def abandon(self) -> None:
        """Close everything that is open, whatever was done before."""
        statements, self._statements = self._statements, None
        marks, self._marks = self._marks, None
        try:
            if statements is not None:
                statements.close()
            # Without the lock, it may be the new journal of another process.
            if marks is not None and not self._has_begun and self._is_new:
                with contextlib.suppress(OSError):
                    remove_new(self._real)
        finally:
            if marks is not None:
                if not self._has_begun and marks.is_new:
                    marks.remove()
                marks.close()

    # Marks: called from the event loop, for each item.

    def set_mark(self, row: int) -> None:
        """Mark a row: the first request of its item is about to be sent."""
        if self._marks is not None:
            self._marks.set(row, self._mark)

    def unset_mark(self, row: int) -> None:
        """Remove the mark of a row: its item certainly did not run."""
        if self._marks is not None:
            self._marks.set(row, NO_MARK)

    def outcomes(self, wanted: list[Found]) -> list[tuple[Prepared, Outcome[Any]]]:
        """Return the recorded outcomes of items."""
        assert self._numbering is not None  # noqa: S101  # it is open
        return self.lookups.outcomes(wanted, self._numbering.causes)

    # Committing.

    def commit(self, batch: CommitBatch) -> None:
        """Record a batch in one transaction.

        Raises:
            JournalError: The journal cannot be written.
        """
        self._check_in_place()
        session, numbering, sql = self._begun, self._numbering, self._sql
        assert numbering is not None  # noqa: S101  # it is open
        before, was_proven = numbering.copy(), session.is_proven
        commit = Commit(
            sql, numbering, session=session.number, started=session.started, results=self._results
        )
        try:
            self.lookups.place(batch.reads, are_first=not session.is_proven)
            with sql.transaction():
                if batch.is_refused:
                    session.refuse()
                elif batch.proves and not session.is_proven:
                    session.prove(batch.held)
                commit.write(batch)
        except BaseException as error:
            numbering.restore(before)
            session.is_proven = was_proven
            if isinstance(error, FAILED):
                raise explained(self.path, error) from None
            raise

    def _check_in_place(self) -> None:
        self._open_files.check()
        error = self._open_files.error_beside()
        if error is not None:
            # The latest commits are only in the deleted WAL: copy them into the journal.
            with contextlib.suppress(*FAILED):
                self._sql.do("PRAGMA wal_checkpoint(PASSIVE)")
            raise error

    def finish(self, batch: CommitBatch) -> None:
        """Record the last batch, which ends the session in order, and close the file.

        Raises:
            JournalError: The journal cannot be written; it is closed nevertheless.
        """
        try:
            if batch.is_refused and not self.is_proven:
                self.retract()
                return
            self._leave_out_recorded(batch)
            self.commit(batch)
        finally:
            self.abandon()

    def _leave_out_recorded(self, batch: CommitBatch) -> None:
        """Skip outcomes that are recorded: an interrupt may come between a commit and its release."""
        try:
            takes = dict(
                self._sql.named(
                    "SELECT idx, take FROM item WHERE idx IN",
                    [prepared.row for prepared in batch.ended],
                )
            )
        except FAILED as error:
            raise explained(self.path, error) from None
        batch.ended = [
            prepared for prepared in batch.ended if takes.get(prepared.row) != prepared.outcome.take
        ]

    @property
    def _begun(self) -> Session:
        assert self._session is not None  # noqa: S101  # `open` was called
        return self._session

    @property
    def _open_files(self) -> OpenFiles:
        assert self._files is not None  # noqa: S101  # it is open
        return self._files

    @property
    def _sql(self) -> Statements:
        assert self._statements is not None  # noqa: S101  # it is open
        return self._statements


def _has_content(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.stat().st_size > 0
    return False


def _sync_folder(path: Path) -> None:
    """Sync a folder, so that a new file in it survives a power failure."""
    with contextlib.suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
