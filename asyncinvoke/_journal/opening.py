"""Opens journals for reading or writing, and says whether a file is one."""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from asyncinvoke._journal.damage import FAILED, explained
from asyncinvoke._journal.paths import SIDES, check_beside, check_path
from asyncinvoke._journal.schema import APPLICATION_ID, FORMAT, TABLE_NAMES
from asyncinvoke._model.text import in_one_line
from asyncinvoke.errors import JournalError

BUSY_TIMEOUT = 10.0
"""How long a commit waits for another program's lock, such as a SQLite shell's, in seconds."""


def is_journal(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a journal, judging by its header; never raises.

    Do not use it on a journal that this process has open: closing the file would release SQLite's
    POSIX locks on it.
    """
    try:
        if not os.path.isfile(path):
            return False  # opening a pipe would block
        with open(path, "rb") as file:
            header = file.read(_HEADER)
    except (OSError, ValueError):
        return False
    return header.startswith(b"SQLite format 3\0") and header[68:72] == _OURS


def is_begun(path: str | os.PathLike[str]) -> bool:
    """Return whether anything is recorded in a file; never raises.

    A process may die before its first commit, which leaves an empty database. Anything else
    counts as begun, even if it cannot be read or is not a journal: opening it reports what is wrong.

    Returns:
        `False` only if there is nothing of that name, or it is empty.
    """
    try:
        os.lstat(path)
        if os.path.isfile(path) and not os.path.getsize(path):
            return False
        with contextlib.closing(read_only(Path(path), may_be_empty=True)) as connection:
            return not _is_empty(connection)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (JournalError, *FAILED):
        return True
    except ValueError:
        return False  # it is not a path


_HEADER = 100
_OURS = APPLICATION_ID.to_bytes(4, "big")
"""The `PRAGMA application_id` of a journal, as in the file header."""


def read_only_uris(path: Path) -> Iterator[str]:
    """Yield the URIs with which SQLite may open a journal read-only, the preferred one first.

    The second one is for a folder in which the `-shm` file cannot be created. Nobody can write
    there, so the file cannot change.
    """
    real = path.resolve()
    yield f"{real.as_uri()}?mode=ro"
    if not Path(f"{real}-wal").exists():
        yield f"{real.as_uri()}?mode=ro&immutable=1"


def read_only(path: Path, *, may_be_empty: bool = False) -> sqlite3.Connection:
    """Open a journal read-only.

    Args:
        path: The path of the journal.
        may_be_empty: Whether an empty database is accepted.

    Raises:
        JournalError: The file does not exist or cannot be read.
    """
    check_path(path)
    first, *others = read_only_uris(path)
    try:
        return _checked(path, first, may_be_empty=may_be_empty)
    except JournalError as error:
        if not isinstance(error.__cause__, sqlite3.OperationalError) or not others:
            raise
    return _checked(path, others[0], may_be_empty=may_be_empty)


def _checked(path: Path, uri: str, *, may_be_empty: bool) -> sqlite3.Connection:
    connection = _connect(path, uri)
    try:
        check(path, connection, may_be_empty=may_be_empty)
    except BaseException:
        connection.close()
        raise
    return connection


def writing(path: Path) -> sqlite3.Connection:
    """Open a journal for writing. An empty or missing file is accepted; no tables are created.

    Raises:
        JournalError: The file cannot be opened or is not a journal.
    """
    try:
        # Created here for its mode, which SQLite copies to the files beside it. An existing file is
        # not opened: closing it would release the locks of this process's other connections.
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        status = path.stat()
    except OSError as error:
        raise JournalError(f"{path}: it cannot be opened: {error.strerror}") from None
    links = status.st_nlink
    if links > 1:
        # The lock, the marks and the WAL go by name: under another one, there would be others.
        raise JournalError(
            f"{path}: it has {links} names (hard links), and could be run under each of them at "
            "once: remove the others, or copy it"
        )
    real = path.resolve()
    for side in SIDES:
        # A reader leaves them as read-only as the journal was then, and SQLite would blame the folder.
        with contextlib.suppress(OSError):
            mode = os.lstat(f"{real}{side}").st_mode
            if stat.S_ISREG(mode) and not mode & stat.S_IWUSR:  # not what a link leads to
                os.chmod(f"{real}{side}", stat.S_IMODE(status.st_mode))
    connection = _connect(path, f"{real.as_uri()}?mode=rw")
    try:
        if path.stat().st_size:
            check(path, connection, may_be_empty=True)
        _set_up(connection)
        check_beside(path)  # somebody may have created one just before SQLite did
    except FAILED as error:
        connection.close()
        raise explained(path, error) from None
    except BaseException:
        connection.close()
        raise
    return connection


def check(path: Path, connection: sqlite3.Connection, *, may_be_empty: bool = False) -> None:
    """Check that this is a journal in a format that this version can read.

    Args:
        path: The path of the journal.
        connection: An open connection to it.
        may_be_empty: Whether an empty database is accepted.

    Raises:
        JournalError: It is not a journal, or its format is not supported.
    """
    try:
        is_empty = _is_empty(connection)
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        foreign = connection.execute(_FOREIGN, TABLE_NAMES).fetchone()
    except FAILED as error:
        raise explained(path, error) from error
    if is_empty:
        # A process died between creating the file and its first commit.
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
    if foreign is not None:
        # A view or a trigger may compute for ever, and SQLite listens to no Ctrl-C while it does.
        kind, name = foreign
        raise JournalError(
            f"{path}: it is damaged, or was made to do harm: it has a {kind} {in_one_line(name, 40)!r}, "
            "which no journal has"
        )


_FOREIGN = f"""
SELECT CASE WHEN type = 'table' THEN 'virtual table' ELSE type END, name FROM sqlite_master
WHERE type = 'trigger' OR lower(name) IN ({",".join("?" * len(TABLE_NAMES))})
AND NOT (type = 'table' AND sql LIKE 'CREATE TABLE %')
"""
"""Selects what would run code of the file: triggers, and anything else in the place of a table."""


def _is_empty(connection: sqlite3.Connection) -> bool:
    """Return whether a database is as SQLite creates it."""
    found = (
        *connection.execute("PRAGMA application_id").fetchone(),
        *connection.execute("PRAGMA user_version").fetchone(),
        *connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone(),
    )
    return not any(found)


def remove_new(path: Path) -> None:
    """Remove a journal that this process created, if no session has begun in it."""
    for side in ("", *SIDES):
        Path(f"{path}{side}").unlink(missing_ok=True)


def remove_log(path: Path) -> None:
    """Remove the files beside a journal that is going to be replaced, and that no process has open.

    What its WAL has is moved into it first: it stays whole if this process dies before the other
    file is in its place.
    """
    if path.exists() and Path(f"{path}-wal").exists():
        with contextlib.suppress(JournalError):  # no journal, or damaged
            writing(path).close()
    for side in SIDES:
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
    # FULL syncs each commit, so a power failure loses nothing that the event loop has seen
    # committed. With many records per commit it is as fast as NORMAL. `fullfsync` is for macOS,
    # where `fsync` alone does not flush the drive's cache.
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "fullfsync=ON",
        "wal_autocheckpoint=1000",
        "journal_size_limit=67108864",
        "cache_size=-2000",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
