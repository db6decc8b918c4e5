"""The first lines of an input, and so many a second: with a clock of the test's."""

from collections.abc import AsyncGenerator

import pytest

from asyncinvoke._inputs.item import Making
from asyncinvoke.cli.pacing import Paced, Whole
from asyncinvoke.inputs import Item

pytestmark = pytest.mark.anyio


MAKING = Making(None, None, is_json=False)


class Lines(Whole):
    """An endless input, which counts what was read of it."""

    def __init__(self) -> None:
        self.given = 0
        self.is_closed = False

    async def items(self) -> AsyncGenerator[Item, None]:
        try:
            while True:
                self.given += 1
                yield Item(self.given - 1, self.given, b"1", None, MAKING)
        finally:
            self.is_closed = True

    async def count(self) -> int | None:
        return 1_000_000


class Clock:
    now = 100.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_no_line_beyond_the_head_is_read_and_the_input_is_closed() -> None:
    lines = Lines()
    paced = Paced(lines, head=3)
    assert [line.line async for line in paced.items()] == [1, 2, 3]
    assert (lines.given, lines.is_closed) == (3, True)
    assert await paced.count() == 3


async def test_each_line_has_its_moment_and_what_was_not_asked_for_is_not_made_up_for() -> None:
    clock = Clock()
    paced = Paced(Lines(), head=7, rate=4, now=lambda: clock.now, sleep=clock.sleep)
    moments = []
    async for line in paced.items():
        moments.append(clock.now)
        if line.line == 4:
            clock.now += 60
    assert moments == [100, 100.25, 100.5, 100.75, 160.75, 161, 161.25]


async def test_without_either_it_is_the_input_itself() -> None:
    paced = Paced(Lines())
    async for line in paced.items():
        if line.line == 50:
            break
    assert await paced.count() == 1_000_000
