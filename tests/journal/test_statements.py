"""Statements of the writing connection, on a version of SQLite that accepts few values."""

import sqlite3
from contextlib import closing

from asyncinvoke._journal.statements import Statements


def test_any_number_of_counts_is_changed_on_older_versions_of_sqlite() -> None:
    names = range(1200)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
        connection.execute("CREATE TABLE cause (id INTEGER PRIMARY KEY, count INTEGER)")
        connection.executemany("INSERT INTO cause VALUES (?, 1)", [(name,) for name in names])
        sql = Statements(connection)
        sql.add("UPDATE cause SET count = count", "id", {name: name - 600 for name in names})
        assert sql.all("SELECT count FROM cause ORDER BY id") == [(n - 599,) for n in names]
