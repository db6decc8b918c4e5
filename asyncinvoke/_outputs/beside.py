"""Files beside a journal: refuses a link, a pipe, and a file of another user under one of their names.

Their names are known in advance. In a folder that others may write to, such as a shared one, anybody
can create a file of that name before we do: a link to a file that would be overwritten, a pipe that
would never answer, or a file that its owner can read and change while we use it.
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


def opened(path: str | os.PathLike[str], flags: int, *, journal: Path) -> int:
    """Open a file beside a journal, readable by its owner only if it is created.

    Args:
        path: The file.
        flags: The flags of `os.open`, such as `os.O_RDWR | os.O_CREAT`.
        journal: The journal, whose owner may own the file as well.

    Returns:
        The descriptor, which the caller must close.

    Raises:
        OSError: It cannot be opened, or is not ours; `strerror` says why.
    """
    try:
        descriptor = os.open(path, flags | _SAFE, 0o600)
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


def check(path: str | os.PathLike[str], *, journal: Path) -> None:
    """Check a file beside a journal without opening it.

    Raises:
        FileNotFoundError: It does not exist.
        OSError: It is not ours; `strerror` says why.
    """
    _check(path, os.lstat(path), journal)


def _check(path: str | os.PathLike[str], status: os.stat_result, journal: Path) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "it is a link, which is not followed: remove it", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file: remove it", str(path))
    if hasattr(os, "geteuid") and status.st_uid not in (os.geteuid(), _ROOT, _owner_of(journal)):
        raise OSError(errno.EPERM, "it belongs to another user: remove it", str(path))


def _owner_of(journal: Path) -> int | None:
    """Return the owner of a journal; `None` if it does not exist yet."""
    with contextlib.suppress(OSError):
        return os.stat(journal).st_uid
    return None
