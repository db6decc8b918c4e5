"""An input of which only the first items are taken, or no more than so many a second."""

import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

import anyio

from asyncinvoke.inputs import Item


class Whole(Protocol):
    """An input, as `asyncinvoke.inputs.read` gives it."""

    def items(self) -> AsyncGenerator[Item, None]:
        """Return its items, as an async generator."""
        ...

    async def count(self) -> int | None:
        """Return how many there are, if that can be told without reading them as such."""
        ...


class Paced:
    """An input that ends early, or comes slowly.

    Args:
        source: The input.
        head: How many items to take; `None` for all.
        rate: How many items to give each second at most; `None` for as many as are asked for. The
            first second gives no more than any other, and what was not asked for is not made up for.
        is_paced: Says which items the rate is for; by default all. Others are given at once.
        now: The clock, in seconds.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        source: Whole,
        *,
        head: int | None = None,
        rate: float | None = None,
        is_paced: Callable[[Item], bool] | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._source = source
        self._head = head
        self._rate = rate
        self._is_paced = is_paced
        self._now = now
        self._sleep = sleep

    async def items(self) -> AsyncGenerator[Item, None]:
        """Read items as they are asked for, and not before their time."""
        taken, due = 0, self._now()
        async with contextlib.aclosing(self._source.items()) as items:
            async for item in items:
                if self._rate is not None and (self._is_paced is None or self._is_paced(item)):
                    # Each has its moment; an item that comes late starts a new count.
                    due = max(due, self._now())
                    if due > self._now():
                        await self._sleep(due - self._now())
                    due += 1 / self._rate
                yield item
                taken += 1
                if taken == self._head:
                    return

    async def count(self) -> int | None:
        """Count the items that `items` gives; `None` if that takes reading them."""
        total = await self._source.count()
        if total is None or self._head is None:
            return total
        return min(total, self._head)
