"""`--head` and `--rate`, with a simulated clock."""

import os
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asyncinvoke import Invoker, JournalMismatchError
from asyncinvoke._inputs.item import ItemSpec
from asyncinvoke.cli.map.source import ItemSource, Paced, RereadableInput, file_note, is_same_file
from asyncinvoke.inputs import Input, Item, read
from asyncinvoke.testing import FakeLambda

pytestmark = pytest.mark.anyio


SPEC = ItemSpec(None, None, is_json=False)


class EndlessLines(ItemSource):
    """An endless input that counts the lines read."""

    def __init__(self) -> None:
        self.given = 0
        self.is_closed = False

    async def items(self) -> AsyncGenerator[Item, None]:
        try:
            while True:
                self.given += 1
                yield Item(self.given - 1, self.given, b"1", None, SPEC)
        finally:
            self.is_closed = True

    async def count(self) -> int | None:
        return 1_000_000


class Clock:
    now = 100.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_no_line_beyond_the_head_is_read_and_the_input_is_closed() -> None:
    lines = EndlessLines()
    paced = Paced(lines, head=3)
    assert [line.line async for line in paced.items()] == [1, 2, 3]
    assert (lines.given, lines.is_closed) == (3, True)
    assert await paced.count() == 3


async def test_lines_are_spaced_evenly_and_time_without_demand_is_not_made_up_for() -> None:
    clock = Clock()
    paced = Paced(EndlessLines(), head=7, rate=4, now=lambda: clock.now, sleep=clock.sleep)
    moments = []
    async for line in paced.items():
        moments.append(clock.now)
        if line.line == 4:
            clock.now += 60
    assert moments == [100, 100.25, 100.5, 100.75, 160.75, 161, 161.25]


async def test_without_either_option_the_input_is_unchanged() -> None:
    paced = Paced(EndlessLines())
    async for line in paced.items():
        if line.line == 50:
            break
    assert await paced.count() == 1_000_000


def no_key(payload: object) -> str:
    raise AssertionError("an item of an input has its own")


async def mapped(path: Path, *, again: bool = True) -> FakeLambda:
    """Map over a file by key, and return what was sent."""
    fake = FakeLambda({"charge": lambda event, context: event})
    opened: list[Input] = []

    def items() -> AsyncIterator[Any]:
        opened.append(read(str(path), key="/id"))
        return opened[-1].items()

    async with (
        Invoker(transport=fake) as invoker,
        invoker.map(
            "charge",
            RereadableInput(items, items if again else lambda: None),
            key=no_key,
            journal=path.with_suffix(".run"),
        ) as run,
    ):
        async for _ in run:
            pass
    return fake


async def test_a_key_whose_item_has_changed_is_found_before_new_ones_are_sent(
    tmp_path: Path,
) -> None:
    path = tmp_path / "orders.jsonl"
    path.write_text('{"id": "a"}\n{"id": "b"}\n')
    assert (await mapped(path)).statistics().invocations == 2
    changed = "".join(f'{{"id": "new {n}"}}\n' for n in range(2000)) + '{"id": "a", "n": 1}\n'
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(JournalMismatchError, match="item 'a' is not what it was"):
        await mapped(path)
    # Without the comparison all of them would have been sent.
    path.write_text(changed.replace(', "n": 1', ""), encoding="utf-8")
    assert (await mapped(path, again=False)).statistics().invocations == 2000


def test_a_file_is_the_same_while_its_size_and_time_are(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("1\n")
    note = file_note(path.stat())
    assert is_same_file(note, path.stat())
    os.utime(path, (1, 1))
    assert not is_same_file(note, path.stat())
    assert not is_same_file(None, path.stat())
