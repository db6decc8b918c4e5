"""Journals of completed runs, written by SQL, because running ten million items takes too long."""

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

REQUEST_ID = "11111111-2222-3333-4444-555555555555"


class Echo:
    """A transport without a network."""

    async def send(self, *_: object) -> Any:
        """Return a response at once."""
        from asyncinvoke._model.response import Reply

        return Reply(status_code=200, payload=b"", executed_version="1", request_id=REQUEST_ID)

    async def open(self, *_: object) -> Any:
        """Unused, but part of the interface."""
        raise NotImplementedError


def payloads(count: int) -> Iterator[bytes]:
    """Yield a number of payloads."""
    for number in range(count):
        yield b'{"item":"%012d"}' % number


def key_of(payload: bytes) -> str:
    """Return the key of a payload."""
    return payload[9:21].decode()


async def run(path: Path, items: int, *, keyed: bool = False) -> None:
    """Run or resume a map without a network and without results."""
    from asyncinvoke import Invoker, Journal

    options: dict[str, Any] = {"key": key_of} if keyed else {}
    journal = Journal(path, results=False)
    async with (
        Invoker(transport=Echo(), limit=64) as invoker,
        invoker.map("work", payloads(items), journal=journal, **options) as ran,
    ):
        async for _ in ran:
            pass


def make(path: Path, items: int, *, keyed: bool = False) -> None:
    """Write the journal of a run: one item runs, and its row is copied for the others."""
    asyncio.run(run(path, 1, keyed=keyed))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF").close()
        connection.execute("BEGIN").close()
        names = [row[1] for row in connection.execute("PRAGMA table_info(item)").fetchall()]
        first = connection.execute("SELECT * FROM item").fetchone()
        row = dict(zip(names, first, strict=True))

        def rows() -> Iterator[tuple[Any, ...]]:
            for number, body in enumerate(payloads(items)):
                if number:
                    row["idx"], row["seq"] = number, number + 1
                    row["digest"] = hashlib.sha256(body).digest()[: len(row["digest"])]
                    row["key"] = key_of(body) if keyed else None
                    row["began"], row["elapsed"] = number // 10, 100_000 + number % 1000
                    yield tuple(row.values())

        marks = ",".join("?" * len(names))
        connection.executemany(f"INSERT INTO item VALUES ({marks})", rows()).close()
        for statement in (
            "UPDATE count SET value = ? WHERE name IN ('succeeded', 'attempts', 'seq')",
            "UPDATE version SET count = ?",
            "UPDATE run SET value = ? WHERE name = 'total'",
        ):
            connection.execute(statement, (items,)).close()
        connection.execute("COMMIT").close()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
