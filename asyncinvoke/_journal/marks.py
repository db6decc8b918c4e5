"""Marks: one byte for each item, set just before its first request; and the lock of the run."""

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Self

from asyncinvoke._journal.host import host_name
from asyncinvoke.errors import JournalError

HEADER = 64
"""Bytes before the first mark: the run that the marks belong to, and who has them locked, or had."""

_HOLDER = 32
"""Where the header says who has them locked: the process, and the beginning of its host's name."""

LOCK_PATIENCE = 0.2
"""For how long a lock is tried, in seconds: readers hold it for a moment, to see whether it is free."""

_BYTES = [bytes([number]) for number in range(256)]

_NEW = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class LockedError(Exception):
    """Another process has the lock."""


class Marks:
    """The file `RUN-marks`, held open and locked by the one process that writes the run.

    A mark is the number of a session, so that none has to be taken away before an item is run
    again: one of an older session says nothing. It is written to the file, not to a mapping of it,
    where a full disk would be a SIGBUS. Nothing is synced: a mark survives the death of its process
    and not that of the machine, and is not asked after that.

    The lock is one of the file's, and dies with its process: there is nothing to unlock by hand.
    """

    def __init__(self, descriptor: int, path: Path, *, is_new: bool) -> None:
        self._descriptor = descriptor
        self._path = path
        self.is_new = is_new
        """Whether the file was not there before."""

    @classmethod
    def locked(cls, journal: Path) -> Self:
        """Open the marks of a journal, and lock them.

        Raises:
            LockedError: Another process has them locked.
            JournalError: They cannot be opened.
        """
        path = path_of(journal)
        is_new = not path.exists()
        try:
            descriptor = os.open(path, _NEW, 0o600)
        except OSError as error:
            raise JournalError(f"{path}: it cannot be opened: {error.strerror}") from None
        try:
            patience = time.monotonic() + LOCK_PATIENCE
            while not _try_lock(descriptor):
                if time.monotonic() > patience:
                    raise LockedError  # noqa: TRY301  # an inner function would close no sooner
                time.sleep(0.02)
        except BaseException:
            os.close(descriptor)
            raise
        marks = cls(descriptor, path, is_new=is_new)
        with contextlib.suppress(JournalError):  # a name is no need
            marks._write(_holder_of(os.getpid(), host_name()), _HOLDER)
        return marks

    def run_id(self) -> str | None:
        """Return the run that they belong to; `None` if they are new."""
        return _read_header(self._descriptor)

    def begin(self, run_id: str) -> None:
        """Say which run they belong to.

        Raises:
            JournalError: They cannot be written.
        """
        self._write(run_id.encode().ljust(_HOLDER, b"\0")[:_HOLDER], 0)

    def clear(self) -> None:
        """Forget all marks, and the run that they belong to.

        Raises:
            JournalError: They cannot be written.
        """
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise JournalError(f"{self._path}: it cannot be written: {error.strerror}") from None
        self._write(_holder_of(os.getpid(), host_name()), _HOLDER)

    def set(self, row: int, mark: int) -> None:
        """Mark a row.

        Raises:
            JournalError: It cannot be written.
        """
        self._write(_BYTES[mark], HEADER + row)

    def get(self, row: int) -> int:
        """Return the mark of a row; 0 for none."""
        return _read(self._descriptor, 1, HEADER + row)[0:1].ljust(1, b"\0")[0]

    def remove(self) -> None:
        """Remove the file, which no run has come to need."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Unlock and close them."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _write(self, data: bytes, offset: int) -> None:
        try:
            written = _write(self._descriptor, data, offset)
        except OSError as error:
            raise JournalError(f"{self._path}: it cannot be written: {error.strerror}") from None
        if written != len(data):
            raise JournalError(f"{self._path}: it cannot be written: the disk is full")


def mark_of(session: int) -> int:
    """Return the mark of a session, 1 to 255.

    One of 255 sessions before is taken for one of now, which errs on the careful side.
    """
    return (session - 1) % 255 + 1


def path_of(journal: Path) -> Path:
    """Return where the marks of a journal are."""
    return Path(f"{journal.resolve()}-marks")  # a link has none of its own


class ReadMarks:
    """The marks of a journal as others see them, who do not write it."""

    def __init__(self, journal: Path) -> None:
        self._descriptor = -1
        with contextlib.suppress(OSError):
            self._descriptor = os.open(path_of(journal), os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def is_held(self) -> bool:
        """Return whether a process is at work on the run."""
        if self._descriptor < 0:
            return False
        if not _try_lock(self._descriptor, shared=True):
            return True
        _unlock(self._descriptor)
        return False

    def holder(self) -> str | None:
        """Return who has them locked, or had last, in words; `None` where nobody has said so."""
        pid, _, host = (
            _read(self._descriptor, HEADER - _HOLDER, _HOLDER)
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

    def belong_to(self, run_id: str) -> bool:
        """Return whether these are the marks of this run."""
        return self._descriptor >= 0 and _read_header(self._descriptor) == run_id

    def get(self, row: int) -> int:
        """Return the mark of a row; 0 for none."""
        return _read(self._descriptor, 1, HEADER + row)[0:1].ljust(1, b"\0")[0]

    def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _read_header(descriptor: int) -> str | None:
    header = _read(descriptor, _HOLDER, 0).rstrip(b"\0")
    return header.decode("ascii", "replace") or None


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
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
