"""Renumbers the sessions, causes, versions and taken rows of journals that are copied into one."""

from typing import Any

from asyncinvoke._engine.causes import OTHERS
from asyncinvoke._journal.flights import Flight
from asyncinvoke._journal.rows import CauseKey, kept_cause
from asyncinvoke._journal.statements import Statements

_INLINE = 20
"""The maximum number of numbers that a statement translates itself; for more it uses a table."""

TABLES = """
CREATE TEMP TABLE renumbered (of TEXT, old INTEGER, new INTEGER, PRIMARY KEY (of, old));
CREATE TEMP TABLE taken (idx INTEGER PRIMARY KEY);
"""
"""New numbers, and the rows of the part that another item already has."""


class PartStatements(Statements):
    """Statements in which `part.` stands for the attached journal that is being copied."""

    part = "part"
    """The name under which that journal is attached."""

    def do(self, statement: str, *values: object) -> None:
        """Execute a statement."""
        super().do(self._named(statement), *values)

    def many(self, statement: str, values: list[tuple[Any, ...]]) -> None:
        """Execute a statement with each of these values."""
        self._connection.executemany(self._named(statement), values).close()

    def all(self, query: str, *values: object) -> list[Any]:
        """Fetch all rows of a query."""
        return super().all(self._named(query), *values)

    def _named(self, statement: str) -> str:
        return statement.replace("part.", f"{self.part}.")


class Renumbering:
    """The numbers of sessions, causes and versions in the merged journal.

    Equal causes, and equal versions, get the same number.

    Args:
        sql: Executes statements.
    """

    def __init__(self, sql: PartStatements) -> None:
        self._sql = sql
        self._causes: dict[CauseKey, int] = {}
        self._versions: dict[str, int] = {}
        self.session = 0
        """The number of the last session."""
        self.seq = 0
        """The number of times that items have ended, in all journals copied so far."""

    def read(self) -> int:
        """Number the sessions, causes and versions of the attached part; return the offset of its `seq`."""
        do, query = self._sql.do, self._sql.all
        do("DELETE FROM renumbered")
        for old, *session in query(
            "SELECT id, started, ended, host, pid, boot, status FROM part.session ORDER BY id"
        ):
            self.session += 1
            do(
                "INSERT INTO session (id, started, ended, host, pid, boot, status)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(self.session, *session),
            )
            self._renumber("session", old, self.session)
        for old, *cause, example, count in query(
            "SELECT id, error, code, error_type, delivery, gave_up, example, count FROM part.cause"
        ):
            new = self.cause(CauseKey(*cause), example)
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

    def cause(self, key: CauseKey, example: str | None) -> int:
        """Return the number of a cause."""
        key = kept_cause(key, self._causes)
        number = self._causes.get(key)
        if number is None:
            number = self._causes[key] = len(self._causes) + 1
            self._sql.do("INSERT INTO cause VALUES (?, ?, ?, ?, ?, ?, ?, 0)", number, *key, example)
        return number

    def number_of(self, key: CauseKey) -> int | None:
        """Return the number of a cause; `None` if no journal has it."""
        return self._causes.get(key)

    def others(self) -> list[tuple[int, CauseKey]]:
        """Return the causes that stand for those beyond the most that a journal records."""
        return [(number, key) for key, number in self._causes.items() if key.error_type == OTHERS]

    def new_session(self, old: int) -> tuple[int, float]:
        """Return the new number of a session of the part, and when it started."""
        ((number, started),) = self._sql.all(
            "SELECT new, started FROM renumbered JOIN session ON id = new"
            " WHERE of = 'session' AND old = ?",
            old,
        )
        return number, started

    def of(self, column: str) -> str:
        """Return the expression for the new number of a column of the part."""
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


class Moving:
    """The rows of a part in the merged journal of a run with keys.

    An item keeps its row, which is its position in the input, while no other item has it. Shards of
    one input have no row in common, unless the order of the input had changed between them. Then
    the item gets a row behind all others, as in a run that is continued with such an input.

    Args:
        sql: Executes statements.
    """

    def __init__(self, sql: PartStatements) -> None:
        self._sql = sql
        self._behind = 0

    def find(self, lost: list[Flight]) -> None:
        """Find the rows of the attached part that are taken.

        Args:
            lost: Its items that may have run when its process died.
        """
        do = self._sql.do
        do("DELETE FROM taken")
        for there in ("item", "earlier"):
            for table in ("item", "earlier"):
                do(
                    f"INSERT OR IGNORE INTO taken SELECT idx FROM part.{table}"
                    f" WHERE idx IN (SELECT idx FROM main.{there})"
                )
            for flight in lost:
                do(
                    f"INSERT OR IGNORE INTO taken SELECT idx FROM main.{there} WHERE idx = ?",
                    flight.row,
                )
        tables = ("main.item", "main.earlier", "part.item", "part.earlier", "part.flight")
        lasts = [
            self._sql.all(f"SELECT COALESCE(MAX(idx), -1) FROM {table}")[0][0] for table in tables
        ]
        self._behind = 1 + max(lasts) if self._sql.all("SELECT 1 FROM taken LIMIT 1") else 0

    def of(self, column: str) -> str:
        """Return the expression for the new row that belongs to a row of the part."""
        if not self._behind:
            return column
        return f"({column} + CASE WHEN {column} IN taken THEN {self._behind} ELSE 0 END)"

    def flight(self, flight: Flight) -> Flight:
        """Return an item that may have run, with its new row."""
        ((row,),) = self._sql.all(f"SELECT {self.of('idx')} FROM (SELECT ? AS idx)", flight.row)
        return flight._replace(row=row)
