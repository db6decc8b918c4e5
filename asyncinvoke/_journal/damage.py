"""Why a journal cannot be used: errors of SQLite and of the system in one sentence, and damage.

Damage is what SQLite cannot read, or no version of this library can have written.
"""

import contextlib
import functools
import inspect
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from asyncinvoke._journal.schema import KEYED, STATES, TABLES, VIEW, State
from asyncinvoke.errors import AsyncInvokeError, JournalError

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

MOST = 20
"""The maximum number of problems to name."""

_SENSELESS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""Errors that reading raises for values of the wrong type, and for JSON nested too deeply."""

_ITEMS = "SELECT state, COUNT(*), TOTAL(attempts), TOTAL(throttled) FROM item GROUP BY state"

_NAMED = """
SELECT '{table} ' || id, count, (SELECT COUNT(*) FROM item WHERE {table} = {table}.id{but})
FROM {table}
"""

_ORPHANS = {
    "items of no session": "SELECT COUNT(*) FROM item WHERE session NOT IN (SELECT id FROM session)",
    "items of no cause": "SELECT COUNT(*) FROM item WHERE cause IS NOT NULL"
    " AND cause NOT IN (SELECT id FROM cause)",
    "intents of no session": "SELECT COUNT(*) FROM flight"
    " WHERE session NOT IN (SELECT id FROM session)",
    "results of no item": "SELECT COUNT(*) FROM result WHERE idx NOT IN (SELECT idx FROM item)",
}

Method = TypeVar("Method", bound=Callable[..., Any])


@contextlib.contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Convert errors of the block that are due to damage.

    Raises:
        JournalError: The journal is damaged.
    """
    try:
        yield
    except AsyncInvokeError:
        raise
    except sqlite3.Error as error:
        raise explained(path, error) from None
    except _SENSELESS as error:
        raise JournalError(
            f"{path}: it is damaged: what it says makes no sense ({type(error).__name__})"
        ) from None


@contextlib.contextmanager
def damage_of_source(path: Path) -> Iterator[None]:
    """Convert errors of a block that copies a journal, if they are due to damage to that journal.

    Others, such as that of a full disk, may be due to the file into which it is copied.

    Raises:
        JournalError: The journal is damaged.
    """
    other: sqlite3.OperationalError | None = None
    with damage_told(path):
        try:
            yield
        except sqlite3.OperationalError as error:
            other = error
    if other is not None:
        raise other


def explains_damage(method: Method) -> Method:
    """Apply `damage_told` to a method or generator method of an object that has a `path`."""
    signature = inspect.signature(method)
    if inspect.isgeneratorfunction(method):

        @functools.wraps(method)
        def generates(self: Any, *values: Any, **options: Any) -> Any:
            signature.bind(self, *values, **options)  # a call with wrong arguments is no damage
            with damage_told(self.path):
                yield from method(self, *values, **options)

        return cast("Method", generates)

    @functools.wraps(method)
    def calls(self: Any, *values: Any, **options: Any) -> Any:
        signature.bind(self, *values, **options)
        with damage_told(self.path):
            return method(self, *values, **options)

    return cast("Method", calls)


def problems(query: Callable[..., list[Any]]) -> tuple[str, ...]:
    """Return the problems of a journal that can be read: in its pages, indexes and counts.

    Args:
        query: Executes a query and returns its rows.
    """
    found = [problem for (problem,) in query(f"PRAGMA integrity_check({MOST})") if problem != "ok"]
    if found:
        return tuple(" ".join(str(each).split()) for each in found)
    known = {" ".join(each.split()) for each in f"{TABLES}{VIEW}{KEYED}".split(";\n")}
    for name, statement in query("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"):
        if " ".join(str(statement).split()) not in known:
            found.append(f"{name} is not what it was made as")
    for what, counted in _ORPHANS.items():
        ((number,),) = query(counted)
        if number:
            found.append(f"{number:,} {what}")
    return (*found, *_miscounted(query))[:MOST]


def _miscounted(query: Callable[..., list[Any]]) -> Iterator[str]:
    counts = dict(query("SELECT name, value FROM count"))
    real = dict.fromkeys([*STATES, "attempts", "throttled"], 0)
    for state, number, attempts, throttled in query(_ITEMS):
        if state not in tuple(State):
            yield f"{number:,} items of no state ({state!r})"
            continue
        real[STATES[state]] = number
        real["attempts"] += int(attempts)
        real["throttled"] += int(throttled)
    for name, number in real.items():
        if counts.get(name) != number:
            yield f"the count of {name} says {counts.get(name)!r}, and there are {number:,}"
    settled = f" AND state != {State.SETTLED.value}"
    for table, but in (("cause", settled), ("version", "")):
        for name, counted, number in query(_NAMED.format(table=table, but=but)):
            if counted != number:
                yield f"the count of {name} says {counted!r}, and there are {number:,}"
