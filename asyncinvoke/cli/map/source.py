"""The input of a bulk run: limited in number and rate, in batches, or one shard of it.

For recorded runs, it also identifies the input, and stores the line numbers of items.
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


class ItemSource(Protocol):
    """An input, such as `asyncinvoke.inputs.read` returns."""

    def items(self) -> AsyncGenerator[Item, None]:
        """Return the items, as an async generator."""
        ...

    async def count(self) -> int | None:
        """Return the number of items, if it is known without reading them."""
        ...


class Paced:
    """An input limited in number and rate.

    Args:
        source: The input.
        head: The maximum number of items; `None` for all.
        rate: The maximum number of items per second; `None` for no limit. There is no burst at the
            start, nor after a time in which fewer items were read.
        is_paced: Returns whether the rate applies to an item; by default it applies to all.
        now: Returns the time of a monotonic clock, in seconds.
        sleep: Waits for a number of seconds.
    """

    def __init__(
        self,
        source: ItemSource,
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
        """Return the number of items that `items` yields; `None` if unknown without reading them."""
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
    """Check that a shape is only given for batches.

    Raises:
        click.UsageError: There is a shape, and no batch.
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
    """Return whether an item belongs to a shard: by its key, or else by its position."""
    try:
        key = item.key
    except ValueError:
        key = None
    return shard.has(item.position, key)


FILE = "file"
"""The name of the note that identifies the input file."""


class RereadableInput:
    """The items of an input, and a second reading, for the comparison before anything is sent.

    Args:
        items: Reads the input for the map.
        again: Reads the input again; returns `None` if it is unchanged or can be read only once.
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
        """Return the items again; `None` if they need not or cannot be compared."""
        return self._again()


def file_note(status: os.stat_result) -> dict[str, int]:
    """Return what identifies an input file in the journal: its size and modification time."""
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def is_same_file(note: object, status: os.stat_result) -> bool:
    """Return whether an input is the file that a note in the journal identifies."""
    return note == file_note(status)


MOST = 4096
"""The maximum number of entries in `LineNumbers`; the oldest half is dropped beyond that."""


class LineNumbers:
    """The line numbers of items, stored as the positions at which line minus position changes.

    An input without empty lines needs a single entry, however long it is.
    """

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._distances: list[int] = []
        self._until = 0

    def add(self, position: int, line: int) -> None:
        """Store the line of the next item."""
        self._until = position + 1
        distance = line - position
        if self._distances and self._distances[-1] == distance:
            return
        if len(self._positions) >= MOST:
            del self._positions[: MOST // 2], self._distances[: MOST // 2]
        self._positions.append(position)
        self._distances.append(distance)

    def get(self, position: int) -> int | None:
        """Return the line of an item; `None` if it is not stored yet, or not any more."""
        if position >= self._until:
            return None
        place = bisect_right(self._positions, position) - 1
        return None if place < 0 else position + self._distances[place]

    def as_note(self) -> dict[str, object]:
        """Return them as JSON values."""
        changes = zip(self._positions, self._distances, strict=True)
        return {"until": self._until, "changes": list(changes)}

    @classmethod
    def from_note(cls, note: object) -> "LineNumbers":
        """Return the line numbers in a note; none if it is something else."""
        numbers = cls()
        match note:
            case {"until": int(until), "changes": list(changes)}:
                numbers._until = until
                numbers._positions = [int(position) for position, _ in changes]
                numbers._distances = [int(distance) for _, distance in changes]
        return numbers
