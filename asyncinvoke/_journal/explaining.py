"""Explains the errors of SQLite and of the system in one sentence, as a `JournalError`."""

import contextlib
import os
import sqlite3
from pathlib import Path

from asyncinvoke.errors import JournalError

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

FAILED = (sqlite3.Error, UnicodeDecodeError, OSError)
"""What a statement, or a look at the files of a journal, may raise: SQLite's message for a damaged file
may not be valid UTF-8."""


def explained(path: Path, error: Exception) -> JournalError:
    """Return the `JournalError` for an error of SQLite or of the system."""
    if isinstance(error, OSError):
        return JournalError(f"{path}: it could not be read or written: {error.strerror}")
    # Python's error for invalid UTF-8 quotes the text, which may be what a function returned.
    if isinstance(error, UnicodeDecodeError) or str(error).startswith(_NO_TEXT):
        return JournalError(f"{path}: {_WHY['SQLITE_CORRUPT']}")
    name = getattr(error, "sqlite_errorname", None) or "SQLITE_ERROR"
    family = "_".join(name.split("_")[:2])
    is_there = path.absolute().parent.is_dir()
    if family == "SQLITE_CANTOPEN" and is_there and (why := _why_nothing_opens()):
        return JournalError(f"{path}: it cannot be opened: {why}")
    return JournalError(f"{path}: {_WHY.get(family, str(error))}")


def _why_nothing_opens() -> str | None:
    """Return why this process can open no file, as with too many open ones: SQLite hides it.

    SQLite has closed again what it could open of a journal before it met the limit.
    """
    with contextlib.ExitStack() as opened:
        try:
            for _ in range(_FILES):
                opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            return error.strerror
    return None


_FILES = 8
"""The most files that SQLite has open at once: three of a journal, three of one that is copied into it,
a folder, and a temporary file."""
