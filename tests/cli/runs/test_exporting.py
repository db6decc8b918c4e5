"""The files of a split export: each item of the run in one of them, and no other item."""

import errno
import gc
import io
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from asyncinvoke import Invoker, Journal, Shard
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.runs import exporting
from asyncinvoke.cli.runs.exporting import MANIFEST, NAMES, may_have_run_line, split
from asyncinvoke.runs import RecordedItem, RecordedRun, merge, open_run
from asyncinvoke.testing import FakeLambda
from tests.journal.crashes import crash
from tests.journal.killing import ROOT


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
        name: [json.loads(line)["index"] for line in file.read_text("utf-8").splitlines()]
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


def test_a_merge_of_thousands_of_shards_is_exported_in_time_for_its_items_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [tmp_path / f"{number}.run" for number in range(1, 6)]
    for number, part in enumerate(parts, 1):
        anyio.run(work, part, 60, Shard(number, of=6))
    path = tmp_path / "merged.run"
    merge(path, parts)
    asked = 0

    def counted(self: Shard, position: int, key: str | None) -> bool:
        nonlocal asked
        asked += 1
        return position % self.of == self.number - 1

    monkeypatch.setattr(Shard, "has", counted)
    assert exported(path)["pending"] == []
    assert asked <= 10  # the items of the sixth shard


def test_a_split_export_keeps_no_item_that_may_have_run_or_was_settled_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "o.run"
    anyio.run(work, path, 3)
    many = 200_000
    with open_run(path) as run:
        item = run.item(position=2)

    def recorded(_: RecordedRun) -> Iterator[RecordedItem | None]:
        for position in range(10_000_000, 10_000_000 + many):
            object.__setattr__(item, "position", position)
            yield item

    monkeypatch.setattr(RecordedRun, "unknown", recorded)
    monkeypatch.setattr(RecordedRun, "settled", recorded)
    gc.collect()
    tracemalloc.start()
    try:
        assert [*map(len, exported(path).values())] == [3, 0, 0, 0, 0]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 << 20  # six files have buffers


def killed(path: Path, renames: int) -> Path:
    """Export in a process that is killed after it has renamed some files; return the folder."""
    folder = path.with_name("parts")
    words = ["runs", "export", "--split", str(path), str(folder)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(renames), *words], cwd=ROOT, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert len([each for each in folder.iterdir() if each.suffix == ".jsonl"]) == min(renames, 5)
    return folder


KILLED = """
import os, signal, sys
from pathlib import Path
from asyncinvoke.cli import main

rename, left = Path.replace, [None] * int(sys.argv.pop(1))

def replace(part, target):
    rename(part, target)
    left.pop()
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

Path.replace = replace
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="an abandoned part cannot be told there")
@pytest.mark.parametrize("renames", [1, 5])
def test_a_split_export_that_was_killed_between_its_files_is_repeated(
    renames: int, tmp_path: Path
) -> None:
    path = tmp_path / "o.run"
    anyio.run(work, path, 12)
    folder = killed(path, renames)
    assert not (folder / MANIFEST).exists()
    assert exported(path)["succeeded"] == [*range(12)]
    assert {each.name for each in folder.iterdir()} == {*NAMES.values(), MANIFEST}


@pytest.mark.skipif(sys.platform == "win32", reason="an abandoned part cannot be told there")
@pytest.mark.parametrize("is_complete", [True, False])
def test_what_a_killed_split_export_left_is_kept_if_it_was_completed_or_changed_since(
    is_complete: bool, tmp_path: Path
) -> None:
    path = tmp_path / "o.run"
    anyio.run(work, path, 12)
    folder = killed(path, 5)
    kept = folder / NAMES["succeeded"]
    if is_complete:
        (manifest,) = folder.glob(f".{MANIFEST}.*")
        shutil.copy(manifest, folder / MANIFEST)
    else:
        kept.write_text("mine")
    content = kept.read_bytes()
    with open_run(path) as run, pytest.raises(CommandError, match="is not empty"):
        split(run, folder)
    assert kept.read_bytes() == content


def test_a_split_export_does_not_fail_because_a_file_that_is_written_cannot_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "o.run"
    anyio.run(work, path, 3)

    class Part(io.BufferedWriter):
        def close(self) -> None:
            if not self.closed:
                super().close()
                raise OSError(errno.EIO, "Input/output error")

    def new_part(path: Path) -> tuple[Path, Part]:
        part = path.with_suffix(".part")
        return part, Part(open(part, "xb", buffering=0))

    monkeypatch.setattr(exporting, "new_part", new_part)
    assert exported(path)["succeeded"] == [0, 1, 2]
