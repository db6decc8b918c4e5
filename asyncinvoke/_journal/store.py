"""A journal open for writing: sessions, lookups, and commits."""

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.recording import Prepared
from asyncinvoke._journal import rows
from asyncinvoke._journal.batch import Batch, Found, Lost
from asyncinvoke._journal.damage import damage_told, tells_damage
from asyncinvoke._journal.host import file_system
from asyncinvoke._journal.identity import cut
from asyncinvoke._journal.marks import Marks, mark_of, path_of
from asyncinvoke._journal.opening import FAILED, SIDES, explained, remove_new, resolved, writing
from asyncinvoke._journal.recording import Numbers, Writing
from asyncinvoke._journal.schema import DIGEST, State
from asyncinvoke._journal.session import Session, identity_of_file, lock
from asyncinvoke._journal.statements import Statements
from asyncinvoke.errors import JournalError


class Store:
    """A journal opened for writing, exclusively by this process.

    Its methods block, and are called from one thread at a time; those for marks from any.

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
        self._real = path
        self._results = results
        self._kind = kind
        self._marks: Marks | None = None
        self._statements: Statements | None = None
        self._session: Session | None = None
        self._numbers: Numbers | None = None
        self._file = (0, 0)
        self._beside: dict[Path, tuple[int, int]] = {}
        self._size = 0
        self._mark = 0
        self._next_row = 0
        self._is_new = False
        self._has_begun = False

    @property
    def known(self) -> int:
        """Rows from here on are not recorded by any earlier session."""
        return self._begun.known

    @property
    def lost(self) -> dict[int | str, Lost]:
        """Items that may have run when a process died, by row or key, until they are read."""
        return self._begun.lost

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
            self._file, self._next_row = identity_of_file(self._real), self._session.known
        except FAILED as error:
            self.abandon()
            raise explained(self.path, error) from None
        except BaseException:
            self.abandon()
            raise

    def begin(self, notes: Mapping[str, object] | None) -> None:
        """Begin the session.

        Args:
            notes: What is noted of the run by whoever continues it; `None` while it is not known
                whether the input is that of the run. `prove` is called before anything is recorded
                then.

        Raises:
            JournalError: It cannot be recorded. It is closed, and as it was.
        """
        session, sql = self._begun, self._sql
        try:
            with sql.transaction():
                session.begin()
                with damage_told(self.path):
                    self._numbers = Numbers(sql)
            self._mark = mark_of(session.number)
            # From here on the file itself says that this session has begun. A copy of it without
            # the files beside it does not pass for a run that has come to an end.
            sql.do("PRAGMA wal_checkpoint(TRUNCATE)")
            if session.is_first:
                _sync_folder(self._real.parent)
            if notes is not None:
                with sql.transaction():
                    session.prove(notes)
            self._beside = _files_beside(self._real)
            self._has_begun = True
        except BaseException as error:
            session.is_proven = False
            self.retract()
            if isinstance(error, FAILED):
                raise explained(self.path, error) from None
            raise

    @property
    def is_proven(self) -> bool:
        """Whether the input is known to be that of the run, as far as it was read."""
        return self._begun.is_proven

    def retract(self) -> None:
        """Undo a session that has recorded nothing, as far as possible, and close."""
        self._has_begun, session = False, self._session
        if self._statements is not None and session is not None and session.number:
            with contextlib.suppress(*FAILED), self._statements.transaction():
                session.refuse()
        self.abandon()

    def abandon(self) -> None:
        """Close everything that is open, in any state."""
        statements, self._statements = self._statements, None
        marks, self._marks = self._marks, None
        try:
            if statements is not None:
                statements.close()
            if not self._has_begun and self._is_new:
                with contextlib.suppress(OSError):
                    remove_new(self._real)
        finally:
            if marks is not None:
                if not self._has_begun and marks.is_new:
                    marks.remove()
                marks.close()

    # Marks: called from the event loop, for each item.

    def set_mark(self, row: int) -> None:
        """Note that the first request of an item is sent now."""
        if self._marks is not None:
            self._marks.set(row, self._mark)

    def unset_mark(self, row: int) -> None:
        """Note that an item surely did not run."""
        if self._marks is not None:
            self._marks.set(row, 0)

    # Looking up.

    @tells_damage
    def look_up(self, reads: list[Prepared]) -> tuple[list[Found], list[Prepared]]:
        """Return what is recorded of items, and those of which nothing is.

        Of an item that may have run when a process died nothing else is said: see `lost`.
        """
        recorded: dict[Any, Any] = {}
        if self.keyed:
            for row, key, *rest in self._sql.named(
                "SELECT idx, key, digest, state, take FROM item WHERE key IN",
                [each.key for each in reads],
            ):
                recorded[key] = row, rest
        elif reads and reads[0].index < self.known:
            for row, *rest in self._sql.all(
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
                found.append(Found(prepared, cut(digest), State(state), take))
        return found, fresh

    @tells_damage
    def are_those(self, first: int, count: int, digests: bytes, *, failed: bool) -> bool:
        """Return whether so many rows from here on have ended, and have these digests.

        Args:
            first: The first row.
            count: How many there are.
            digests: What their digests are, each behind its key if there is one, one behind the
                other.
            failed: Whether some of them may have failed.
        """
        if any(first <= each.row < first + count for each in self.lost.values()):
            return False
        key = "key || " if self.keyed else ""
        digest = f"substr(digest, 1, {DIGEST})" if self._begun.has_longer_digests else "digest"
        # One row for all of them, so the GIL is acquired once. The range is read in the order of its
        # rows; sorting it says the same and takes half as long again. In any other order the result
        # would be that they differ, and each item would be looked up.
        ((there, state, found),) = self._sql.all(
            f"SELECT COUNT(*), MAX(state), CAST(group_concat({key}{digest}, '') AS BLOB)"
            " FROM item WHERE idx BETWEEN ? AND ?",
            first,
            first + count - 1,
        )
        if there != count or (state and not failed):
            return False
        return bool(found == digests)

    @tells_damage
    def outcomes(self, wanted: list[Found]) -> list[tuple[Prepared, Outcome[Any]]]:
        """Return the recorded outcomes of items, each with the codec of its call."""
        assert self._numbers is not None  # noqa: S101  # it is open
        causes = {number: key for key, number in self._numbers.causes.items()}
        given = []
        for each in wanted:
            prepared = each.prepared
            row = rows.ItemRow(
                *self._sql.all(f"{rows.ITEM_ROWS} WHERE item.idx = ?", prepared.row)[0]
            )
            cause = example = None
            if row.cause is not None:
                cause = causes[row.cause]
                ((example,),) = self._sql.all("SELECT example FROM cause WHERE id = ?", row.cause)
            codec: dict[str, Any] = (
                {} if prepared.call is None else {"decode": prepared.call.decode}
            )
            outcome = rows.outcome_of(row, cause, index=prepared.index, example=example, **codec)
            given.append((prepared, outcome))
        return given

    # Committing.

    def commit(self, batch: Batch) -> None:
        """Record a batch in one transaction.

        Raises:
            JournalError: It cannot be recorded.
        """
        self._check_in_place()
        session, numbers, sql = self._begun, self._numbers, self._sql
        assert numbers is not None  # noqa: S101  # it is open
        self._place(batch.reads)
        before, was_proven = numbers.copy(), session.is_proven
        writing = Writing(
            sql, numbers, session=session.number, started=session.started, results=self._results
        )
        try:
            with sql.transaction():
                if batch.is_refused:
                    session.refuse()
                elif batch.proves and not session.is_proven:
                    session.prove({})
                writing.write(batch)
        except BaseException as error:
            numbers.restore(before)
            session.is_proven = was_proven
            if isinstance(error, FAILED):
                raise explained(self.path, error) from None
            raise

    def _check_in_place(self) -> None:
        """Check that the file is what it was, before more is recorded in it.

        SQLite reads its pages from the WAL as long as they are there, so it does not notice.

        Raises:
            JournalError: It was deleted, replaced or truncated.
        """
        try:
            found = self._real.stat()
        except OSError:
            raise JournalError(f"{self.path}: it was deleted while the run was under way") from None
        if (found.st_dev, found.st_ino) != self._file:
            raise JournalError(f"{self.path}: another file was put in its place")
        if found.st_size < self._size:  # a journal does not shrink
            raise JournalError(f"{self.path}: it was truncated while the run was under way")
        self._size = found.st_size
        for beside, file in self._beside.items():
            try:
                is_there = identity_of_file(beside) == file
            except OSError:
                is_there = False
            if not is_there:
                # Nobody else sees what was committed, which is in the deleted file: save it.
                with contextlib.suppress(*FAILED):
                    self._sql.do("PRAGMA wal_checkpoint(PASSIVE)")
                raise JournalError(
                    f"{self.path}: {beside.name} beside it was deleted or replaced while the run was "
                    "under way"
                )

    def finish(self, batch: Batch, status: str, *, total: int | None = None) -> None:
        """Record the last batch, end the session in order, and close the file.

        Args:
            batch: What is left to be recorded.
            status: How the session has ended.
            total: How many items the input has, if that is known now.

        Raises:
            JournalError: It cannot be recorded; the file is closed all the same.
        """
        batch.ending = status, total
        try:
            if batch.is_refused and not self.is_proven:
                self.retract()
                return
            self._leave_out_recorded(batch)
            self.commit(batch)
        finally:
            self.abandon()

    def _leave_out_recorded(self, batch: Batch) -> None:
        """Skip what is already recorded: an interrupt may come between a commit and its report."""
        try:
            takes = dict(
                self._sql.named(
                    "SELECT idx, take FROM item WHERE idx IN",
                    [prepared.row for prepared, _ in batch.ended],
                )
            )
        except FAILED as error:
            raise explained(self.path, error) from None
        batch.ended = [
            (prepared, outcome)
            for prepared, outcome in batch.ended
            if takes.get(prepared.row) != outcome.take
        ]

    def _place(self, reads: list[Prepared]) -> None:
        """Assign rows to new items."""
        takes, rows = self._begun.takes, self._begun.rows
        for prepared in reads:
            # The row of a key that is new is free, and is its position wherever that is free, too.
            prepared.row = prepared.index
            if self.keyed and prepared.key in rows:
                prepared.row = rows[prepared.key]
            elif self.keyed:
                prepared.row = max(prepared.index, self._next_row)
                self._next_row = prepared.row + 1
            if takes:
                prepared.take = takes.get(prepared.row, 0) + 1

    @property
    def _begun(self) -> Session:
        assert self._session is not None  # noqa: S101  # `open` was called
        return self._session

    @property
    def _sql(self) -> Statements:
        assert self._statements is not None  # noqa: S101  # it is open
        return self._statements


def _has_content(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.stat().st_size > 0
    return False


def _files_beside(path: Path) -> dict[Path, tuple[int, int]]:
    """Return the files that belong to an open journal, and what tells each from another one."""
    names = (*(Path(f"{path}{side}") for side in SIDES), path_of(path))
    return {name: identity_of_file(name) for name in names if name.exists()}


def _sync_folder(path: Path) -> None:
    """Sync the folder, so that a new file survives a power failure."""
    with contextlib.suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
