"""Numbered rows of a journal, and their numbers in one that several are merged into."""

import sqlite3
from typing import Any

_INLINE = 20
"""So many numbers are translated in the statement itself; more of them by a table."""

TABLES = """
CREATE TEMP TABLE renumbered (of TEXT, old INTEGER, new INTEGER, PRIMARY KEY (of, old));
"""


class Statements:
    """Runs statements on a connection; `part.` in them stands for the journal that is copied.

    Args:
        connection: In autocommit mode.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.part = "part"
        """Under which name that journal is attached."""

    def do(self, statement: str, *values: object) -> None:
        """Run a statement."""
        self.connection.execute(self._named(statement), values).close()

    def many(self, statement: str, values: list[tuple[Any, ...]]) -> None:
        """Run a statement with each of these values."""
        self.connection.executemany(self._named(statement), values).close()

    def all(self, query: str, *values: object) -> list[Any]:
        """Return what a query gives."""
        return self.connection.execute(self._named(query), values).fetchall()

    def _named(self, statement: str) -> str:
        return statement.replace("part.", f"{self.part}.")


class Numbers:
    """Gives sessions, causes and versions their numbers: alike causes and versions the same one.

    Args:
        sql: Runs statements.
    """

    def __init__(self, sql: Statements) -> None:
        self._sql = sql
        self._causes: dict[tuple[Any, ...], int] = {}
        self._versions: dict[str, int] = {}
        self.session = 0
        """The last one."""
        self.seq = 0
        """How many items have ended, in all journals that were copied."""

    def read(self) -> int:
        """Number what is numbered in the part that is attached; return what its `seq` begins at."""
        do, query = self._sql.do, self._sql.all
        do("DELETE FROM renumbered")
        for old, *session in query(
            "SELECT id, started, ended, host, pid, boot, argv, options, status FROM part.session"
            " ORDER BY id"
        ):
            self.session += 1
            do("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self.session, *session)
            self._renumber("session", old, self.session)
        for old, *cause, example, count in query(
            "SELECT id, error, code, error_type, delivery, gave_up, example, count FROM part.cause"
        ):
            new = self.cause(tuple(cause), example)
            do("UPDATE cause SET count = count + ? WHERE id = ?", count, new)
            self._renumber("cause", old, new)
        for old, name, count in query("SELECT id, name, count FROM part.version"):
            new = self._versions.setdefault(name, len(self._versions) + 1)
            do("INSERT OR IGNORE INTO version VALUES (?, ?, 0)", new, name)
            do("UPDATE version SET count = count + ? WHERE id = ?", count, new)
            self._renumber("version", old, new)
        first = self.seq
        ((seq,),) = query("SELECT value FROM part.count WHERE name = 'seq'")
        self.seq += seq
        return first

    def cause(self, key: tuple[Any, ...], example: str | None) -> int:
        """Return the number of a cause."""
        number = self._causes.get(key)
        if number is None:
            number = self._causes[key] = len(self._causes) + 1
            self._sql.do("INSERT INTO cause VALUES (?, ?, ?, ?, ?, ?, ?, 0)", number, *key, example)
        return number

    def new_session(self, old: int) -> tuple[int, float]:
        """Return the number of a session of the part, and when it began."""
        ((number, started),) = self._sql.all(
            "SELECT new, started FROM renumbered JOIN session ON id = new"
            " WHERE of = 'session' AND old = ?",
            old,
        )
        return number, started

    def of(self, column: str) -> str:
        """Return what gives a column of the part its new number, in a statement."""
        numbers = self._sql.all("SELECT old, new FROM renumbered WHERE of = ?", column)
        if all(old == new for old, new in numbers):
            return column
        if column == "session" and len(numbers) == 1:
            return str(numbers[0][1])
        if len(numbers) <= _INLINE:
            return f"CASE {column} {' '.join(f'WHEN {old} THEN {new}' for old, new in numbers)} END"
        return f"(SELECT new FROM renumbered WHERE of = '{column}' AND old = {column})"

    def _renumber(self, of: str, old: int, new: int) -> None:
        self._sql.do("INSERT INTO renumbered VALUES (?, ?, ?)", of, old, new)
