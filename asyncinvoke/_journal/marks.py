"""Marks: one byte for each item, set just before its first request; and who has the run locked."""

import contextlib
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from asyncinvoke._journal.host import host_name
from asyncinvoke._journal.locked_file import open_locked, read_at, try_lock, unlock, write_at
from asyncinvoke._outputs import beside
from asyncinvoke.errors import JournalError

HEADER = 64
"""Size of the header before the first mark, in bytes: the run's ID, and the last lock holder."""

_HOLDER = 32
"""Offset of the lock holder in the header: the process ID, and a prefix of its host name."""

_PIECE = 1 << 16
"""How many marks are read at once."""


class _MarksFile:
    """The marks of a journal, as far as they are read.

    Its methods raise a `JournalError` if the file cannot be read.

    Args:
        descriptor: The open file; negative if there is none.
        path: The path of the file.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path

    def belong_to(self, run_id: str) -> bool:
        """Return whether the marks belong to this run."""
        return self._descriptor >= 0 and self.run_id() == run_id

    def rows(self) -> int:
        """Return the number of rows that the file is long enough for."""
        with self._explained():
            return max(os.fstat(self._descriptor).st_size - HEADER, 0)

    def get(self, row: int) -> bytes:
        """Return the mark of a row, or `NO_MARK`."""
        return self._read(1, HEADER + row) or NO_MARK

    def run_id(self) -> str | None:
        """Return the ID of the run that the marks belong to; `None` if they are new."""
        return self._read(_HOLDER, 0).rstrip(b"\0").decode("ascii", "replace") or None

    def _read(self, size: int, offset: int) -> bytes:
        with self._explained():
            return read_at(self._descriptor, size, offset)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalError(f"{self._path}: it cannot be read: {error.strerror}") from None

    def close(self) -> None:
        """Close the file, which releases the lock."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Marks(_MarksFile):
    """The file `RUN-marks`, held open and locked by the one process that writes the run.

    A mark is a session number, so no mark has to be cleared before an item runs again: marks of
    older sessions are ignored. Marks are written with `write`, not through `mmap`, where a full
    disk would cause a SIGBUS. Nothing is synced: a mark survives the death of the process but not a
    crash of the machine, after which marks are not consulted.

    The lock is an OS file lock, released when the process dies; it never has to be removed by hand. A
    forked child shares it, and would keep the run locked after its parent's end, so it closes its copy
    of the file.
    """

    def __init__(self, descriptor: int, path: Path, *, is_new: bool) -> None:
        super().__init__(descriptor, path)
        self.is_new = is_new
        """Whether the file was created by this process."""
        _held.add(self)

    @classmethod
    def locked(cls, journal: Path) -> Self:
        """Open and lock the marks of a journal.

        Raises:
            LockedError: Another process holds the lock.
            JournalError: The file cannot be opened or locked.
        """
        path = path_of(journal)
        descriptor, is_new = open_locked(path, journal=journal)
        marks = cls(descriptor, path, is_new=is_new)
        with contextlib.suppress(JournalError):  # the holder's name is optional
            marks._write(_holder_of(os.getpid(), host_name()), _HOLDER)
        return marks

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Yield all marks in pieces, each with its first row.

        Raises:
            JournalError: They cannot be read.
        """
        row = 0
        while piece := self._read(_PIECE, HEADER + row):
            yield row, piece
            row += len(piece)

    def begin(self, run_id: str) -> None:
        """Record which run the marks belong to.

        Raises:
            JournalError: They cannot be written.
        """
        self._write(run_id.encode().ljust(_HOLDER, b"\0")[:_HOLDER], 0)

    def clear(self) -> None:
        """Clear all marks, and the run's ID.

        Raises:
            JournalError: They cannot be written.
        """
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise JournalError(f"{self._path}: it cannot be written: {error.strerror}") from None
        self._write(_holder_of(os.getpid(), host_name()), _HOLDER)

    def set(self, row: int, mark: bytes) -> None:
        """Mark a row.

        Raises:
            JournalError: It cannot be written.
        """
        self._write(mark, HEADER + row)

    def remove(self) -> None:
        """Remove the file, because no run needs it; if it stays, its marks belong to no run."""
        with contextlib.suppress(OSError):  # what is reported is why it is removed
            self._path.unlink(missing_ok=True)

    def _write(self, data: bytes, offset: int) -> None:
        try:
            written = write_at(self._descriptor, data, offset)
        except OSError as error:
            raise JournalError(f"{self._path}: it cannot be written: {error.strerror}") from None
        if written != len(data):
            raise JournalError(f"{self._path}: it cannot be written: the disk is full")


_held: weakref.WeakSet[Marks] = weakref.WeakSet()
"""The marks that this process holds locked, or held and has closed."""


def _close_in_child() -> None:
    for marks in list(_held):
        marks.close()  # the parent keeps the lock: closing a copy does not release it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


NO_MARK = b"\0"
"""What is at the row of an item without a mark."""


def mark_of(session: int) -> bytes:
    """Return the mark of a session: a byte, but not `NO_MARK`.

    A mark from 255 sessions ago is mistaken for a current one, which errs on the safe side.
    """
    return bytes([(session - 1) % 255 + 1])


def path_of(journal: Path) -> Path:
    """Return the path of a journal's marks."""
    return Path(f"{journal.resolve()}-marks")  # marks belong to the file, not to a link


class ReadMarks(_MarksFile):
    """A read-only view of a journal's marks, for processes that do not write the run.

    Raises:
        JournalError: The file is there and cannot be opened: what has not run would seem in doubt.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(-1, path_of(journal))
        try:
            self._descriptor = beside.opened(self._path, os.O_RDONLY, journal=journal)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise JournalError(f"{self._path}: it cannot be opened: {error.strerror}") from None

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # nothing was written, and what was read is right
            super().close()

    def is_held(self) -> bool:
        """Return whether a process holds the lock, and so is using the journal."""
        if self._descriptor < 0:
            return False
        try:
            if not try_lock(self._descriptor, shared=True):
                return True
            unlock(self._descriptor)
        except OSError:  # there are no locks here, so no process can hold one
            return False
        return False

    def holder(self) -> str | None:
        """Describe the current or last lock holder; return `None` if unknown."""
        pid, _, host = (
            self._read(HEADER - _HOLDER, _HOLDER)
            .rstrip(b"\0")
            .decode("utf-8", "ignore")
            .partition("@")
            if self._descriptor >= 0
            else ("", "", "")
        )
        if not pid.isdecimal():
            return None
        here = host_name()
        return f"process {pid} on {here if host and here.startswith(host) else host or here}"


def _holder_of(pid: int, host: str) -> bytes:
    room = HEADER - _HOLDER
    return f"{pid}@{host}".encode()[:room].ljust(room, b"\0")
