"""Opens and locks a file beside a journal, and reads and writes at an offset of it, on each operating system."""

import contextlib
import os
import sys
import time
from pathlib import Path

from asyncinvoke._outputs import beside
from asyncinvoke.errors import JournalError

LOCK_PATIENCE = 0.2
"""How long to retry locking, in seconds: readers hold the lock briefly to see if it is free."""


class LockedError(Exception):
    """Another process has the lock."""


def open_locked(path: Path, *, journal: Path) -> tuple[int, bool]:
    """Open a file beside a journal, and lock it until it is closed.

    Returns:
        The descriptor, and whether this created the file.

    Raises:
        LockedError: Another process holds the lock.
        JournalError: The file cannot be opened or locked.
    """
    while True:
        descriptor, is_new = _opened_and_locked(path, journal)
        if _is_at(path, descriptor):
            return descriptor, is_new
        # The process that held the lock has removed the file. Another one may be in its place.
        os.close(descriptor)


def _opened_and_locked(path: Path, journal: Path) -> tuple[int, bool]:
    try:
        descriptor, is_new = _opened(path, journal)
    except OSError as error:
        raise JournalError(f"{path}: it cannot be opened: {error.strerror}") from None
    try:
        patience = time.monotonic() + LOCK_PATIENCE
        while not try_lock(descriptor):
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
        return beside.created(path, os.O_RDWR, journal=journal), True
    except FileExistsError:
        return beside.opened(path, os.O_RDWR | os.O_CREAT, journal=journal), False


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether a path still names the file that is open."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 62

    def read_at(descriptor: int, size: int, offset: int) -> bytes:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, size)

    def write_at(descriptor: int, data: bytes, offset: int) -> int:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, data)

    def try_lock(descriptor: int, *, shared: bool = False) -> bool:  # noqa: ARG001  # as below
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    read_at = os.pread
    write_at = os.pwrite

    def try_lock(descriptor: int, *, shared: bool = False) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
