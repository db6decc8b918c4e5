"""The files of a journal: whether a path can be one, and whether those of an open one are in place."""

import errno
import os
import stat
from pathlib import Path

from asyncinvoke._journal.marks import path_of
from asyncinvoke._outputs import beside
from asyncinvoke.errors import JournalError

SIDES = ("-wal", "-shm")
"""The suffixes of the files that SQLite keeps beside an open journal."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
"""Kinds of paths that are not regular files."""


def check_path(path: Path, *, may_be_missing: bool = False) -> None:
    """Check that a path can be a journal: SQLite's errors are too vague, and a pipe would block.

    Args:
        path: The path of the journal.
        may_be_missing: Whether the file may be missing, because it will be created.

    Raises:
        JournalError: It cannot be a journal; the message has the reason.
    """
    mode = _mode_of(path, may_be_missing=may_be_missing)
    if mode is None:
        _check_name(path)
        check_beside(path)
        return
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), None)
    if kind is not None:
        raise JournalError(f"{path}: it is {kind}")
    check_beside(path)
    ids = {"effective_ids": True} if os.access in os.supports_effective_ids else {}
    if not os.access(path, os.R_OK, **ids):
        raise JournalError(f"{path}: it may not be read: {os.strerror(errno.EACCES)}")


def check_beside(path: Path) -> None:
    """Check what is at the names that a journal's other files have, or would have.

    Raises:
        JournalError: It is no regular file, or a stranger's; the message has the reason.
    """
    real = resolved(path)
    for name in (path_of(real), *(Path(f"{real}{side}") for side in (*SIDES, _LONGEST))):
        try:
            beside.check(name, journal=real)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise JournalError(f"{name}: it cannot be used: {error.strerror}") from None


def _mode_of(path: Path, *, may_be_missing: bool) -> int | None:
    """Return the mode of a file; `None` if it is missing, may be, and can be created."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise JournalError(
                f"{path}: it is a link to {path.readlink()}, which is not there"
            ) from None
        if not path.absolute().parent.is_dir():
            raise JournalError(f"{path}: the folder {path.parent} is not there") from None
        if may_be_missing:
            return None
        raise JournalError(f"{path}: there is no such journal") from None
    except NotADirectoryError:
        raise JournalError(f"{path}: {path.parent} is not a folder") from None
    except OSError as error:
        raise JournalError(f"{path}: it cannot be opened: {error.strerror}") from None
    except ValueError:
        raise JournalError(f"{str(path)!r}: no file can have that name") from None


def _check_name(path: Path) -> None:
    """Check that the names of the files beside a journal fit: SQLite would blame the folder."""
    try:
        Path(f"{path}{_LONGEST}").exists()
    except OSError as error:
        raise JournalError(f"{path}: it cannot be opened: {error.strerror}") from None


_LONGEST = "-journal"
"""The longest suffix that SQLite appends to the name for a temporary file."""


def resolved(path: Path) -> Path:
    """Return the resolved path, or the path itself if it cannot be resolved; never raises."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path


def identity_of_file(path: Path) -> tuple[int, int]:
    """Return what distinguishes a file from another one at the same path."""
    found = path.stat()
    return found.st_dev, found.st_ino


class OpenFiles:
    """The files of an open journal, as they were when it was opened.

    SQLite does not notice if one of them is deleted or replaced: it keeps using the open file, which
    nobody else can see.

    Args:
        path: The path of the journal, as shown in messages.
        real: The resolved path.
    """

    def __init__(self, path: Path, real: Path) -> None:
        self._path = path
        self._real = real
        self._identity = identity_of_file(real)
        self._size = 0
        self._beside: dict[Path, tuple[int, int]] = {}

    def add_beside(self) -> None:
        """Add the files beside the journal, which exist once a session has begun."""
        names = (*(Path(f"{self._real}{side}") for side in SIDES), path_of(self._real))
        self._beside = {name: identity_of_file(name) for name in names if name.exists()}

    def check(self) -> None:
        """Check the file of the journal itself, before more is recorded in it.

        Raises:
            JournalError: It was deleted, replaced or truncated.
        """
        try:
            found = self._real.stat()
        except OSError:
            raise JournalError(
                f"{self._path}: it was deleted while the run was under way"
            ) from None
        if (found.st_dev, found.st_ino) != self._identity:
            raise JournalError(f"{self._path}: another file was put in its place")
        if found.st_size < self._size:  # a journal does not shrink
            raise JournalError(f"{self._path}: it was truncated while the run was under way")
        self._size = found.st_size

    def error_beside(self) -> JournalError | None:
        """Return the error if a file beside the journal was deleted or replaced."""
        for each, identity in self._beside.items():
            try:
                is_there = identity_of_file(each) == identity
            except OSError:
                is_there = False
            if not is_there:
                return JournalError(
                    f"{self._path}: {each.name} beside it was deleted or replaced while the run "
                    "was under way"
                )
        return None
