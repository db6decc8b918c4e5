"""The input of a bulk run: limited in number and rate, in batches, or one shard of it.

Where the run is recorded, it is compared with what was read before, and knows its lines.
"""

import contextlib
import os
import time
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

import anyio
import click

from asyncinvoke import Batch, InvalidRequestError, Shard
from asyncinvoke.cli.values import WholeNumber
from asyncinvoke.inputs import Item


class Whole(Protocol):
    """An input, as `asyncinvoke.inputs.read` gives it."""

    def items(self) -> AsyncGenerator[Item, None]:
        """Return its items, as an async generator."""
        ...

    async def count(self) -> int | None:
        """Return the number of items, if it is known without reading them."""
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
        """Read items on demand, and no faster than the rate allows."""
        taken, due = 0, self._now()
        async with contextlib.aclosing(self._source.items()) as items:
            async for item in items:
                if self._rate is not None and (self._is_paced is None or self._is_paced(item)):
                    # Each item has its scheduled time; a late item restarts the schedule.
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


F = TypeVar("F", bound=Callable[..., Any])

SHAPES = ("list", "items", "sqs", "stepfunctions")
"""The shapes available on the command line."""


def sharing_options(command: F) -> F:
    """Add the options `batch`, `shape` and `shard` to a command."""
    options = (
        click.option(
            "--batch",
            type=WholeNumber(1),
            metavar="N",
            help="Send N lines per invocation. Each line still gets its own outcome; "
            "--concurrency counts batches.",
        ),
        click.option(
            "--shape",
            type=click.Choice(SHAPES),
            help="Format of a batch and of the function's response to it.  [default: list]",
        ),
        click.option(
            "--shard",
            callback=_shard,
            metavar="K/N",
            help="Process only part K of N, from 1/N to N/N, for example one part per machine.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _shard(_ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else str(Shard.parse(value))
    except InvalidRequestError as error:
        raise click.BadParameter(str(error), param=param) from None


def check_sharing(*, batch: int | None, shape: str | None) -> None:
    """Check that a shape has something to shape.

    Raises:
        click.UsageError: It has not.
    """
    if batch is None and shape is not None:
        raise click.UsageError("--shape needs --batch N")


def batch_of(items: int | None, shape: str | None) -> Batch | None:
    """Return the batch settings of the options."""
    if items is None:
        return None
    return Batch(items, shape=shape or "list")  # type: ignore[arg-type]  # one of `SHAPES`


def shard_of(text: str | None) -> Shard | None:
    """Return the shard selected by the options."""
    return None if text is None else Shard.parse(text)


def is_of(shard: Shard, item: "Item") -> bool:
    """Return whether an item belongs to a shard; an item without a key goes by its position."""
    try:
        key = item.key
    except ValueError:
        key = None
    return shard.has(item.position, key)


FILE = "file"
"""The name of the note that identifies the input file."""


class Reading:
    """The items of an input, and the same items again, to be compared before anything is sent.

    Args:
        items: Reads for the map.
        again: Reads once more; gives `None` where the input is what it was, or can be read once only.
    """

    def __init__(
        self,
        items: Callable[[], AsyncIterator[Item]],
        again: Callable[[], AsyncIterable[Item] | None],
    ) -> None:
        self._items = items
        self._again = again

    def __aiter__(self) -> AsyncIterator[Item]:
        return self._items()

    def read_again(self) -> AsyncIterable[Item] | None:
        """Return the items once more, where they have to be compared."""
        return self._again()


def file_note(status: os.stat_result) -> dict[str, int]:
    """Return what identifies an input file in the journal: its size and modification time."""
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def is_same_file(note: object, status: os.stat_result) -> bool:
    """Return whether an input's file is what the journal has noted."""
    return note == file_note(status)


MOST = 4096
"""How many changes are kept: of the lines between items, such as empty ones."""


class LineNumbers:
    """Lines by position, kept as the places where the distance between the two changes.

    An input of lines without empty ones takes a single entry, whatever its length.
    """

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._distances: list[int] = []
        self._until = 0

    def add(self, position: int, line: int) -> None:
        """Note the line of the next item."""
        self._until = position + 1
        distance = line - position
        if self._distances and self._distances[-1] == distance:
            return
        if len(self._positions) >= MOST:
            del self._positions[: MOST // 2], self._distances[: MOST // 2]
        self._positions.append(position)
        self._distances.append(distance)

    def get(self, position: int) -> int | None:
        """Return the line of an item, if it is known (still, or already)."""
        if position >= self._until:
            return None
        place = bisect_right(self._positions, position) - 1
        return None if place < 0 else position + self._distances[place]

    def as_note(self) -> dict[str, object]:
        """Return it as JSON values."""
        changes = zip(self._positions, self._distances, strict=True)
        return {"until": self._until, "changes": list(changes)}

    @classmethod
    def from_note(cls, note: object) -> "LineNumbers":
        """Return what a note says; of anything else, an empty one."""
        numbers = cls()
        match note:
            case {"until": int(until), "changes": list(changes)}:
                numbers._until = until
                numbers._positions = [int(position) for position, _ in changes]
                numbers._distances = [int(distance) for _, distance in changes]
        return numbers
