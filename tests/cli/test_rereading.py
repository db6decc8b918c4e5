"""The input of a recorded run is compared before anything is sent, where it may be another one."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asyncinvoke import Invoker, JournalMismatchError
from asyncinvoke.cli.rereading import Reading, file_note, is_same_file
from asyncinvoke.inputs import Input, read
from asyncinvoke.testing import FakeLambda

pytestmark = pytest.mark.anyio


def no_key(payload: object) -> str:
    raise AssertionError("an item of an input has its own")


async def mapped(path: Path, *, again: bool = True) -> FakeLambda:
    """Map over a file by key, and give what was sent."""
    fake = FakeLambda({"charge": lambda event, context: event})
    opened: list[Input] = []

    def items() -> AsyncIterator[Any]:
        opened.append(read(str(path), key="/id"))
        return opened[-1].items()

    async with (
        Invoker(transport=fake) as invoker,
        invoker.map(
            "charge",
            Reading(items, items if again else lambda: None),
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
    path.write_text(changed)
    with pytest.raises(JournalMismatchError, match="item 'a' is not what it was"):
        await mapped(path)
    # Without the comparison all of them would have been sent.
    path.write_text(changed.replace(', "n": 1', ""))
    assert (await mapped(path, again=False)).statistics().invocations == 2000


def test_a_file_is_the_same_while_its_size_and_time_are(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("1\n")
    note = file_note(path.stat())
    assert is_same_file(note, path.stat())
    os.utime(path, (1, 1))
    assert not is_same_file(note, path.stat())
    assert not is_same_file(None, path.stat())
