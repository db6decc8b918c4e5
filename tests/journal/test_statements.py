"""Statements with many values, on versions of SQLite that accept few."""

import sqlite3
from collections.abc import Iterator

import pytest

from asyncinvoke._journal.statements import Statements

OLD = 999
"""How many values a statement may have in SQLite before 3.32."""


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, OLD)
    connection.execute("CREATE TABLE made (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o)")
    yield connection
    connection.close()


@pytest.mark.parametrize("count", [0, 1, 66, 67, 5001])
def test_rows_and_names_beyond_the_limit_of_an_old_sqlite_are_all_there(
    connection: sqlite3.Connection, count: int
) -> None:
    sql = Statements(connection)

    sql.insert("INSERT INTO made", ((row, *"bcdefghijklmno") for row in range(count)))

    assert sql.all("SELECT a, o FROM made ORDER BY a") == [(row, "o") for row in range(count)]
    names = list(range(-1, count + 1))
    found = sql.named("SELECT a FROM made WHERE a IN", names)
    assert sorted(row for (row,) in found) == list(range(count))


def test_any_number_of_counts_is_changed_on_an_old_sqlite(connection: sqlite3.Connection) -> None:
    names = range(1200)
    connection.execute("CREATE TABLE cause (id INTEGER PRIMARY KEY, count INTEGER)")
    connection.executemany("INSERT INTO cause VALUES (?, 1)", [(name,) for name in names])
    sql = Statements(connection)

    sql.add("UPDATE cause SET count = count", "id", {name: name - 600 for name in names})

    assert sql.all("SELECT count FROM cause ORDER BY id") == [(n - 599,) for n in names]
