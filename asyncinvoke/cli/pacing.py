"""An input of which only the first lines are taken, or no more than so many a second."""

import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable

import anyio

from asyncinvoke.cli.lines import Line
from asyncinvoke.cli.source import Source


class Paced(Source):
    """An input that ends early, or comes slowly.

    Args:
        source: The input.
        head: How many lines to take; `None` for all.
        rate: How many lines to give each second at most; `None` for as many as are asked for. The
            first second gives no more than any other, and what was not asked for is not made up for.
        now: The clock, in seconds.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        source: Source,
        *,
        head: int | None = None,
        rate: float | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._source = source
        self._head = head
        self._rate = rate
        self._now = now
        self._sleep = sleep
        self.descriptor = source.descriptor
        self.name = source.name

    async def begin(self) -> None:
        """Look at the input's first lines."""
        await self._source.begin()

    async def read(self) -> AsyncGenerator[Line, None]:
        """Read lines as they are asked for, and not before their time."""
        taken, due = 0, self._now()
        async with contextlib.aclosing(self._source.read()) as lines:
            async for line in lines:
                if self._rate is not None:
                    # Each has its moment; a line that comes late starts a new count.
                    due = max(due, self._now())
                    if due > self._now():
                        await self._sleep(due - self._now())
                    due += 1 / self._rate
                yield line
                taken += 1
                if taken == self._head:
                    return

    async def count(self) -> int | None:
        """Count the lines that `read` gives; `None` if that takes reading them."""
        total = await self._source.count()
        if total is None or self._head is None:
            return total
        return min(total, self._head)
