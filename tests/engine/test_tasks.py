"""The workers of a map: how many run, and how soon they are called."""

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._engine.tasks import MOST_CALLED, Workers

pytestmark = pytest.mark.anyio


Waits: TypeAlias = Callable[[int], Coroutine[Any, Any, object]]
"""Waits within the work of an item."""


class Items:
    """Works off items, and keeps what happened.

    Args:
        waits: What an item waits for; without it, items are done at once.
    """

    def __init__(self, waits: Waits | None) -> None:
        self._waits = waits
        self.added = 0
        self.begun: list[int] = []
        self.done: list[int] = []
        self.most = 0
        """The maximum number of items that were in progress at once."""
        self.tasks: set[int] = set()
        """The tasks that have worked."""
        self.workers: Workers[int] = Workers(
            self._work,
            done=lambda index, _: self.done.append(index),
            broke=self._broke,
            cancelled=lambda: None,
        )

    def add(self, count: int) -> None:
        """Add items."""
        for _ in range(count):
            self.workers.add(self.added, None)
            self.added += 1

    async def _work(self, index: int, item: object) -> int:
        self.begun.append(index)
        self.tasks.add(anyio.get_current_task().id)
        self.most = max(self.most, len(self.begun) - len(self.done))
        if self._waits is not None:
            await self._waits(index)
        return index

    def _broke(self, index: int, error: BaseException) -> None:
        raise AssertionError(index) from error

    async def turns_until(self, count: int) -> int:
        """Return after how many turns of the event loop so many items have begun."""
        turns = 0
        while len(self.begun) < count:
            await checkpoint()
            turns += 1
            assert turns < 10_000
        return turns


@contextlib.asynccontextmanager
async def working(concurrency: int, waits: Waits | None = None) -> AsyncIterator[Items]:
    """Start workers, and dismiss them at the end; fail if one of them does not end then."""
    items = Items(waits)
    others = len(anyio.get_running_tasks())
    async with anyio.create_task_group() as group:
        items.workers.start(group)
        items.workers.set_concurrency(concurrency)
        yield items
        items.workers.dismiss()
        for _ in range(1000):
            if len(anyio.get_running_tasks()) <= others:
                return
            await checkpoint()
        raise AssertionError("a worker has not ended although it was dismissed")


@pytest.mark.parametrize("again", [False, True], ids=["first", "after a pause"])
async def test_many_items_that_arrive_together_begin_within_a_few_turns_of_the_loop(
    again: bool,
) -> None:
    gate = anyio.Event()
    expected = 320
    async with working(320, lambda _: gate.wait()) as items:
        if again:  # the workers are there then, and idle
            gate.set()
            items.add(320)
            await items.turns_until(320)
            gate, expected = anyio.Event(), 640
            for _ in range(3):
                await checkpoint()
        items.add(320)
        turns = await items.turns_until(expected)
        assert turns <= 2 * 320 / MOST_CALLED
        gate.set()
    assert len(items.done) == expected
    assert items.most <= 320


@pytest.mark.parametrize("concurrency", [1, 5, 1000])
async def test_items_that_are_done_at_once_start_few_workers(concurrency: int) -> None:
    async with working(concurrency) as items:
        for turn in range(1, 51):
            items.add(100)
            await items.turns_until(100 * turn)
    assert items.begun == items.done == list(range(5000))
    assert len(items.tasks) <= MOST_CALLED


async def test_three_items_start_three_workers_of_a_thousand() -> None:
    gate = anyio.Event()
    async with working(1000, lambda _: gate.wait()) as items:
        items.add(3)
        await items.turns_until(3)
        gate.set()
        await checkpoint()
    assert len(items.tasks) == 3


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "turn", "concurrency"]), st.integers(1, 40)), max_size=30
    ),
    waiting=st.lists(st.integers(0, 5), min_size=1, max_size=7),
)
def test_no_more_items_are_in_progress_than_the_concurrency_and_all_of_them_end(
    steps: list[tuple[str, int]], waiting: list[int]
) -> None:
    async def waits(index: int) -> None:
        for _ in range(waiting[index % len(waiting)]):
            await checkpoint()

    async def run() -> None:
        most = concurrency = 3
        async with working(concurrency, waits) as items:
            for what, number in [*steps, ("concurrency", 2)]:
                if what == "add":
                    items.add(number)
                elif what == "turn":
                    for _ in range(number):
                        await checkpoint()
                else:
                    items.workers.set_concurrency(number)
                    most = max(most, number)
            await items.turns_until(items.added)
        assert sorted(items.begun) == sorted(items.done) == list(range(items.added))
        assert items.most <= most

    anyio.run(run)
