"""Marks: one byte for each item, set just before its first request; and the lock of the run."""

import contextlib
import os
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from asyncinvoke._journal.host import host_name
from asyncinvoke._outputs import beside
from asyncinvoke.errors import JournalError

HEADER = 64
"""Size of the header before the first mark, in bytes: the run's ID, and the last lock holder."""

_HOLDER = 32
"""Offset of the lock holder in the header: the process ID, and a prefix of its host name."""

LOCK_PATIENCE = 0.2
"""How long to retry locking, in seconds: readers hold the lock briefly to see if it is free."""

_NEW = os.O_RDWR | os.O_CREAT
_NOT_TEXT = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class LockedError(Exception):
    """Another process has the lock."""


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
        return self._descriptor >= 0 and self._run_id() == run_id

    def rows(self) -> int:
        """Return the number of rows that the file is long enough for."""
        with self._explained():
            return max(os.fstat(self._descriptor).st_size - HEADER, 0)

    def get(self, row: int) -> bytes:
        """Return the mark of a row, or `NO_MARK`."""
        return self._read(1, HEADER + row) or NO_MARK

    def _run_id(self) -> str | None:
        return self._read(_HOLDER, 0).rstrip(b"\0").decode("ascii", "replace") or None

    def _read(self, size: int, offset: int) -> bytes:
        with self._explained():
            return _read(self._descriptor, size, offset)

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
        while True:
            descriptor, is_new = _opened_and_locked(path, journal)
            if _is_at(path, descriptor):
                break
            # The process that held the lock has removed the file. Another one may be in its place.
            os.close(descriptor)
        marks = cls(descriptor, path, is_new=is_new)
        with contextlib.suppress(JournalError):  # the holder's name is optional
            marks._write(_holder_of(os.getpid(), host_name()), _HOLDER)
        return marks

    def run_id(self) -> str | None:
        """Return the ID of the run that the marks belong to; `None` if they are new."""
        return self._run_id()

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
        """Remove the file, because no run needs it."""
        self._path.unlink(missing_ok=True)

    def _write(self, data: bytes, offset: int) -> None:
        try:
            written = _write(self._descriptor, data, offset)
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


def _opened_and_locked(path: Path, journal: Path) -> tuple[int, bool]:
    """Return the file, locked, and whether this created it."""
    try:
        descriptor, is_new = _opened(path, journal)
    except OSError as error:
        raise JournalError(f"{path}: it cannot be opened: {error.strerror}") from None
    try:
        patience = time.monotonic() + LOCK_PATIENCE
        while not _try_lock(descriptor):
            if time.monotonic() > patience:
                raise LockedError  # noqa: TRY301  # an inner function would close no sooner
            time.sleep(0.02)
    except OSError as error:
        os.close(descriptor)
        if is_new:
            with contextlib.suppress(OSError):
                path.unlink()
        raise JournalError(f"{path}: it cannot be locked: {error.strerror}") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, is_new


def _opened(path: Path, journal: Path) -> tuple[int, bool]:
    try:
        return os.open(path, _NEW | os.O_EXCL | _NOT_TEXT, 0o600), True
    except FileExistsError:
        return beside.opened(path, _NEW, journal=journal), False


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether a path still names the file that is open."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


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

    def is_held(self) -> bool:
        """Return whether a process holds the lock, and so is using the journal."""
        if self._descriptor < 0:
            return False
        try:
            if not _try_lock(self._descriptor, shared=True):
                return True
            _unlock(self._descriptor)
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


if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 62

    def _read(descriptor: int, size: int, offset: int) -> bytes:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, size)

    def _write(descriptor: int, data: bytes, offset: int) -> int:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, data)

    def _try_lock(descriptor: int, *, shared: bool = False) -> bool:  # noqa: ARG001  # as below
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    _read = os.pread
    _write = os.pwrite

    def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
