"""Opens journals for reading or writing, and explains in one sentence why one cannot be used."""

import errno
import os
import sqlite3
import stat
from pathlib import Path

from asyncinvoke._journal.schema import APPLICATION_ID, FORMAT
from asyncinvoke.errors import JournalError

BUSY_TIMEOUT = 10.0
"""How long a commit waits, in seconds, for somebody else who has locked the file, such as a shell."""

_SIDES = ("-wal", "-shm")

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
"""What is no file, though it has a name."""

_WHY = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_READONLY": "it cannot be written: the file or its folder is read-only",
    "SQLITE_CANTOPEN": "it cannot be opened: the folder is missing, or cannot be written",
    "SQLITE_PERM": "it may not be opened",
    "SQLITE_BUSY": "another program has it locked",
    "SQLITE_LOCKED": "another program has it locked",
    "SQLITE_NOTADB": "it is not a journal",
    "SQLITE_CORRUPT": "it is damaged",
    "SQLITE_IOERR": "it could not be read or written: the disk is full, or broken",
}


_NO_TEXT = "Could not decode to UTF-8"

FAILED = (sqlite3.Error, UnicodeDecodeError)
"""What a statement may raise: SQLite may also say of a damaged file what is no text."""


def explained(path: Path, error: Exception) -> JournalError:
    """Return the error for what SQLite says of a journal."""
    # A text that is none is said by Python, and it quotes the text: what a function returned.
    if isinstance(error, UnicodeDecodeError) or str(error).startswith(_NO_TEXT):
        return JournalError(f"{path}: {_WHY['SQLITE_CORRUPT']}")
    name = getattr(error, "sqlite_errorname", None) or "SQLITE_ERROR"
    family = "_".join(name.split("_")[:2])
    return JournalError(f"{path}: {_WHY.get(family, str(error))}")


def check_path(path: Path, *, may_be_missing: bool = False) -> None:
    """Check that a journal can lie there, or does; SQLite would say too little, or wait at a pipe.

    Args:
        path: The file.
        may_be_missing: Whether it may be made.

    Raises:
        JournalError: It cannot, with the reason.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise JournalError(
                f"{path}: it is a link to {path.readlink()}, which is not there"
            ) from None
        if not path.absolute().parent.is_dir():
            raise JournalError(f"{path}: the folder {path.parent} is not there") from None
        if may_be_missing:
            _check_name(path)
            return
        raise JournalError(f"{path}: there is no such journal") from None
    except NotADirectoryError:
        raise JournalError(f"{path}: {path.parent} is not a folder") from None
    except OSError as error:
        raise JournalError(f"{path}: it cannot be opened: {error.strerror}") from None
    except ValueError:
        raise JournalError(f"{str(path)!r}: no file can have that name") from None
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), None)
    if kind is not None:
        raise JournalError(f"{path}: it is {kind}")
    ids = {"effective_ids": True} if os.access in os.supports_effective_ids else {}
    if not os.access(path, os.R_OK, **ids):
        raise JournalError(f"{path}: it may not be read: {os.strerror(errno.EACCES)}")


def _check_name(path: Path) -> None:
    """Check that the files beside a journal can have their names: SQLite would blame the folder."""
    try:
        Path(f"{path}{_LONGEST}").exists()
    except OSError as error:
        raise JournalError(f"{path}: it cannot be opened: {error.strerror}") from None


_LONGEST = "-journal"
"""What is behind its name in that of a file that SQLite makes for a moment."""


def is_journal(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a journal, as far as its header says; never raises.

    Not of a journal that this process has open: to close the file takes away SQLite's locks on it.
    """
    try:
        if not os.path.isfile(path):
            return False  # a pipe would be waited for
        with open(path, "rb") as file:
            header = file.read(_HEADER)
    except (OSError, ValueError):
        return False
    return header.startswith(b"SQLite format 3\0") and header[68:72] == _OURS


_HEADER = 100
_OURS = APPLICATION_ID.to_bytes(4, "big")
"""What SQLite writes there of `PRAGMA application_id`."""


def resolved(path: Path) -> Path:
    """Return where a path leads, or the path itself where it leads nowhere; never raises."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path


def read_only(path: Path, *, may_be_empty: bool = False) -> sqlite3.Connection:
    """Open a journal to read it: nothing that is done with it can change it.

    Args:
        path: The file.
        may_be_empty: Whether a database without anything in it will do.

    Raises:
        JournalError: There is no such file, or it cannot be read.
    """
    check_path(path)
    real = path.resolve()
    uri = f"{real.as_uri()}?mode=ro"
    try:
        return _checked(path, uri, may_be_empty=may_be_empty)
    except JournalError as error:
        # Where no `-shm` can be made beside it. Nobody can write there, and it stays as it is.
        if (
            not isinstance(error.__cause__, sqlite3.OperationalError)
            or _side(real, "-wal").exists()
        ):
            raise
        return _checked(path, f"{uri}&immutable=1", may_be_empty=may_be_empty)


def _checked(path: Path, uri: str, *, may_be_empty: bool) -> sqlite3.Connection:
    connection = _connect(path, uri)
    try:
        check(path, connection, may_be_empty=may_be_empty)
    except BaseException:
        connection.close()
        raise
    return connection


def _side(path: Path, suffix: str) -> Path:
    return Path(f"{path}{suffix}")


def writing(path: Path) -> sqlite3.Connection:
    """Open a journal to write it; a file that is empty or missing is left to be filled.

    Raises:
        JournalError: It cannot be opened, or is something else.
    """
    try:
        # Made by hand: SQLite gives the files beside it the mode of this one. One that is there is
        # not opened so: to close it would take away the locks of other connections of this process.
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    except OSError as error:
        raise JournalError(f"{path}: it cannot be opened: {error.strerror}") from None
    connection = _connect(path, f"{path.resolve().as_uri()}?mode=rw")
    try:
        if path.stat().st_size:
            check(path, connection, may_be_empty=True)
        _set_up(connection)
    except FAILED as error:
        connection.close()
        raise explained(path, error) from None
    except BaseException:
        connection.close()
        raise
    return connection


def check(path: Path, connection: sqlite3.Connection, *, may_be_empty: bool = False) -> None:
    """Check that this is a journal, of a version that can be read here.

    Args:
        path: The file.
        connection: The same, open.
        may_be_empty: Whether a database without anything in it will do.

    Raises:
        JournalError: It is not.
    """
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except FAILED as error:
        raise explained(path, error) from error
    if not (application or version or tables):
        # A process died between making the file and its first commit.
        if may_be_empty:
            return
        raise JournalError(f"{path}: it is empty: nothing was recorded")
    if application != APPLICATION_ID:
        raise JournalError(f"{path}: it is not a journal")
    if version > FORMAT:
        raise JournalError(
            f"{path}: it was written in format {version} by a newer asyncinvoke; "
            f"this one reads formats up to {FORMAT}"
        )


def remove_new(path: Path) -> None:
    """Remove a journal that was made by this process, and that no session has come to begin in."""
    for side in ("", *_SIDES):
        Path(f"{path}{side}").unlink(missing_ok=True)


def _connect(path: Path, uri: str) -> sqlite3.Connection:
    try:
        # One thread at a time uses it, but not always the same one.
        return sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT
        )
    except sqlite3.Error as error:
        raise explained(path, error) from None


def _set_up(connection: sqlite3.Connection) -> None:
    # FULL: a commit is synced, so that no power cut forgets what the loop has seen. With commits of
    # many records it runs as fast as NORMAL. `fullfsync` is for macOS, whose `fsync` is not enough.
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "fullfsync=ON",
        "wal_autocheckpoint=1000",
        "journal_size_limit=67108864",
        "cache_size=-2000",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
