"""Writes `format_1.run`, which later versions must read: `python -m tests.journal.make_format_1`.

It was written once, by the first version with format 1, and is not written again.
"""

import sqlite3
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio

from asyncinvoke import Journal, Redrive
from tests.journal.fake_service import FakeService

HERE = Path(__file__).parent
ITEMS = 12


async def make(path: Path) -> None:
    journal = partial(Journal, path, notes={"input": "orders.jsonl"})
    orders = [{"id": f"order-{number}"} for number in range(ITEMS)]
    service = FakeService(
        failing=[orders[2], orders[3]], refused=[orders[4]], lost=[orders[5], orders[6]]
    )
    await service.map(journal(), orders, key=lambda order: order["id"], qualifier="live")
    repaired = FakeService()
    await repaired.map(
        journal(redrive=Redrive.NOT_RUN), orders, key=lambda order: order["id"], qualifier="live"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "orders.run"
        anyio.run(make, path)
        with closing(sqlite3.connect(path)) as connection:
            for statement in (
                "UPDATE session SET host = 'a', pid = 1",
                "DELETE FROM run WHERE name = 'file'",
                "PRAGMA journal_mode = DELETE",
                "PRAGMA page_size = 512",
                "VACUUM",
                "PRAGMA journal_mode = WAL",
            ):
                connection.execute(statement)
                connection.commit()
        (HERE / "format_1.run").write_bytes(path.read_bytes())


if __name__ == "__main__":
    main()
