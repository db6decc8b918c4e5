"""Executes statements on a writing connection: in transactions, and many rows per statement."""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

ROWS = 512
"""The maximum number of rows that one statement writes. Beyond it, compiling takes longer."""

NAMES = 5000
"""The maximum number of names in one statement."""


class Statements:
    """Executes statements on a connection that writes.

    SQLite releases the GIL, and has to reacquire it once per statement and once per fetched row,
    which may take up to 5 ms each time while the event loop is busy. So one statement inserts many
    rows: as many as SQLite accepts values for, 999 in older versions.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._values = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)

    def close(self) -> None:
        """Close the connection, which checkpoints the WAL."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in a transaction, which is rolled back if the block raises."""
        self.do("BEGIN IMMEDIATE")
        try:
            yield
            self.do("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.do("ROLLBACK")
            raise

    def do(self, statement: str, *values: object) -> None:
        """Execute a statement."""
        self._connection.execute(statement, values).close()

    def add(self, statement: str, name: str, changes: Mapping[Any, int]) -> None:
        """Add to counts.

        Args:
            statement: An update, up to the value to which the changes are added.
            name: The column with the names of the counts.
            changes: The changes, by name.
        """
        drawn = iter([(each, change) for each, change in changes.items() if change])
        most = min(ROWS, self._values // 3)
        while changed := dict(islice(drawn, most)):
            cases = " ".join(["WHEN ? THEN ?"] * len(changed))
            marks = ",".join("?" * len(changed))
            self.do(
                f"{statement} + CASE {name} {cases} END WHERE {name} IN ({marks})",
                *chain.from_iterable(changed.items()),
                *changed,
            )

    def insert(self, statement: str, values: Iterable[tuple[Any, ...]]) -> None:
        """Insert rows; they are drawn a statement's worth at a time."""
        drawn = iter(values)
        for first in drawn:
            most = min(ROWS, self._values // len(first))
            group = [first, *islice(drawn, most - 1)]
            row = f"({','.join('?' * len(first))})"
            self.do(
                f"{statement} VALUES {','.join([row] * len(group))}", *chain.from_iterable(group)
            )

    def named(self, statement: str, names: list[Any]) -> list[Any]:
        """Execute a statement that ends with `IN`, for these names, and fetch all rows."""
        found: list[Any] = []
        most = min(NAMES, self._values)
        for first in range(0, len(names), most):
            group = names[first : first + most]
            found += self.all(f"{statement} ({','.join('?' * len(group))})", *group)
        return found

    def all(self, query: str, *values: object) -> list[Any]:
        """Fetch all rows of a query."""
        return self._connection.execute(query, values).fetchall()

    def set_about(self, name: str, value: object) -> None:
        """Set a row of the table `run`."""
        self.do("INSERT OR REPLACE INTO run VALUES (?, ?)", name, value)
