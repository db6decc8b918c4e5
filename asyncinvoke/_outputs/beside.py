"""Files beside a journal: refuses a link, a pipe, and a file of a stranger under one of their names.

Their names are known in advance. In a folder that others may write to, such as a shared one, anybody
can create a file of that name before we do: a link to a file that would be overwritten, a pipe that
would never answer, or a file that its owner can read and change while we use it. A stranger is who
may not write the journal itself: a group may share a run.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path

_SAFE = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # opening a pipe would wait for its other end
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)

_ROOT = 0
_PRIVATE = 0o600

# It may be the WAL of a journal that was given to another user: without it, outcomes are lost.
_STRANGERS = (
    "it belongs to another user: remove it if they planted it, or give it the journal's owner"
)


def opened(path: str | os.PathLike[str], flags: int, *, journal: Path) -> int:
    """Open a file beside a journal; with `os.O_CREAT`, create it if it is missing.

    Args:
        path: The file.
        flags: The flags of `os.open`, such as `os.O_RDWR | os.O_CREAT`.
        journal: The journal.

    Returns:
        The descriptor, which the caller must close.

    Raises:
        OSError: It cannot be opened, or is a stranger's; `strerror` says why.
    """
    if flags & os.O_CREAT:
        with contextlib.suppress(FileExistsError):
            return created(path, flags, journal=journal)
    try:
        descriptor = os.open(path, flags | _SAFE, _PRIVATE)
    except OSError:
        with contextlib.suppress(FileNotFoundError):  # the reason may be gone
            check(path, journal=journal)
        raise
    try:
        _check(path, os.fstat(descriptor), journal)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def created(path: str | os.PathLike[str], flags: int, *, journal: Path) -> int:
    """Create a file beside a journal, for those who may use the journal, as SQLite creates its own.

    Args:
        path: The file.
        flags: The flags of `os.open`, such as `os.O_RDWR`.
        journal: The journal. If it does not exist, only its owner can use the file.

    Returns:
        The descriptor, which the caller must close.

    Raises:
        FileExistsError: Something has that name.
        OSError: It cannot be created.
    """
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | _SAFE, _PRIVATE)
    status = _status_of(journal)
    if status is not None and hasattr(os, "fchown"):
        with contextlib.suppress(OSError):  # it is of use to its owner, at least
            if os.geteuid() == _ROOT:
                os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, status.st_mode & 0o666 | _PRIVATE)
    return descriptor


def check(path: str | os.PathLike[str], *, journal: Path) -> None:
    """Check a file beside a journal without opening it.

    Raises:
        FileNotFoundError: It does not exist.
        OSError: It is a stranger's; `strerror` says why.
    """
    _check(path, os.lstat(path), journal)


def _check(path: str | os.PathLike[str], status: os.stat_result, journal: Path) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "it is a link, which is not followed: remove it", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file: remove it", str(path))
    if hasattr(os, "geteuid") and status.st_uid not in (os.geteuid(), _ROOT):
        folder = os.stat(Path(path).parent)
        if not is_shared(status, _status_of(journal), folder):
            raise OSError(errno.EPERM, _STRANGERS, str(path))


def is_shared(
    status: os.stat_result, journal: os.stat_result | None, folder: os.stat_result
) -> bool:
    """Return whether the owner of a file beside a journal may write the journal as well.

    Args:
        status: The status of the file.
        journal: That of the journal; `None` if it does not exist yet.
        folder: That of their folder.
    """
    if journal is None:
        return False
    if status.st_uid == journal.st_uid or journal.st_mode & stat.S_IWOTH:
        return True
    is_of_group = journal.st_mode & stat.S_IWGRP and status.st_gid == journal.st_gid
    # A file may have the group of its folder, and its owner is in it if not everybody can write there.
    return bool(is_of_group and not folder.st_mode & stat.S_IWOTH)


def _status_of(journal: Path) -> os.stat_result | None:
    """Return the status of a journal; `None` if it does not exist yet."""
    with contextlib.suppress(OSError):
        return os.stat(journal)
    return None
