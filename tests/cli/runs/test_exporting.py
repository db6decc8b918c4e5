"""The files of a split export: each item of the run in one of them, and no other item."""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from asyncinvoke import Invoker, Journal, Shard
from asyncinvoke.cli.runs.exporting import may_have_run_line, split
from asyncinvoke.runs import merge, open_run
from asyncinvoke.testing import FakeLambda
from tests.journal.crashes import crash


async def work(path: Path, items: int, shard: Shard | None = None) -> None:
    async with (
        Invoker(transport=FakeLambda({"f": lambda event, _: event})) as invoker,
        invoker.map("f", range(items), journal=Journal(path), shard=shard, concurrency=1) as run,
    ):
        async for _ in run:
            pass


def forget(path: Path, positions: Iterable[int]) -> None:
    """Remove what is recorded of items, as if they had never been started."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("DELETE FROM item WHERE idx = ?", [(each,) for each in positions])


def exported(path: Path) -> dict[str, list[int]]:
    with open_run(path) as run:
        counts = split(run, path.with_name("parts"))
    indexes = {
        name: [json.loads(line)["index"] for line in file.read_text().splitlines()]
        for name in counts
        for file in path.with_name("parts").glob(f"{name.replace('_', '-')}*")
    }
    assert {name: len(each) for name, each in indexes.items()} == counts
    return indexes


@pytest.mark.parametrize("is_total_known", [True, False])
def test_what_was_not_started_is_listed_between_and_after_what_has_ended(
    is_total_known: bool, tmp_path: Path
) -> None:
    path = tmp_path / "o.run"
    anyio.run(work, path, 12)
    forget(path, [0, 3, 4, 10, 11])
    crash(path, sent=[3])
    if not is_total_known:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM run WHERE name = 'total'")
    files = exported(path)
    assert files["succeeded"] == [1, 2, 5, 6, 7, 8, 9]
    assert files["may_have_run"] == [3]
    assert files["pending"] == ([0, 4, 10, 11] if is_total_known else [0, 4])


def test_an_item_that_may_have_run_is_listed_with_what_identifies_it_in_logs(
    tmp_path: Path,
) -> None:
    path = tmp_path / "o.run"
    anyio.run(work, path, 3)
    forget(path, [1])
    crash(path, sent=[1])
    with open_run(path) as run:
        (line,) = [json.loads(may_have_run_line(item)) for item in run.unknown()]
    assert (line["index"], line["key"], line["request_id"]) == (1, None, None)
    assert not {"position", "state", "cause", "earlier"} & {*line}


@pytest.mark.parametrize("items", range(9, 15))
@pytest.mark.parametrize("numbers", [(2,), (3, 1), (1, 2, 3)])
def test_items_of_other_shards_are_not_listed_as_not_started(
    items: int, numbers: tuple[int, ...], tmp_path: Path
) -> None:
    shards = [Shard(number, of=3) for number in numbers]
    parts = [tmp_path / f"{shard.number}.run" for shard in shards]
    own = [each for each in range(items) if any(shard.has(each, None) for shard in shards)]
    ended = [0, 1, 2, items - 5, items - 4]
    pending = [each for each in own if each not in ended]
    for part, shard in zip(parts, shards, strict=True):
        anyio.run(work, part, items, shard)
        forget(part, pending)
    path = parts[0]
    if len(parts) > 1:
        path = tmp_path / "merged.run"
        merge(path, parts)
    files = exported(path)
    assert files["succeeded"] == [each for each in own if each in ended]
    if len(shards) == 2:  # it is unknown how many items the shards have that are not merged
        pending = [each for each in pending if each < files["succeeded"][-1]]
    assert files["pending"] == pending
