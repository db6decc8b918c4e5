"""Journals with a torn end, as a crash of the machine leaves them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from asyncinvoke.runs import open_run


def torn_log(path: Path) -> bytes:
    """Return the WAL of some commits to a journal; the journal itself is left as it was."""
    before = path.read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        for row in range(1_000_000, 1_000_020):
            connection.execute(
                "INSERT INTO item SELECT ?, digest, key || ?, state, cause, take, attempts,"
                " throttled, session, version, status, began, elapsed, request_id, seq FROM item"
                " LIMIT 1",
                (row, row),
            )
            connection.execute("UPDATE count SET value = value + 1 WHERE name = 'succeeded'")
            connection.commit()
        log = Path(f"{path}-wal").read_bytes()
    for side in ("-wal", "-shm"):
        Path(f"{path}{side}").unlink(missing_ok=True)
    path.write_bytes(before)
    return log


def prefix_of(path: Path) -> bool:
    """Return whether a torn journal has a consistent prefix: its counts match its items."""
    with open_run(path) as recorded:
        summary = recorded.summary()
        items = sum(1 for _ in recorded.outcomes())
    with closing(sqlite3.connect(path)) as connection:
        checked = connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return checked and summary.ended == items
