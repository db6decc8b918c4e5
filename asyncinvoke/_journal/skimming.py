"""Skimming: the finished beginning of an input is compared in blocks instead of item by item.

In a continued run nearly all items have ended, and are stored contiguously. Preparing and looking
up each of them would take a minute per ten million items. Instead, a few thousand items are
prepared as one piece, their digests are concatenated, and one SQLite query compares them all.
"""

import hashlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel

from asyncinvoke._engine.journal import Journal, Redrive
from asyncinvoke._engine.recording import Write, Written
from asyncinvoke._journal.damage import explained
from asyncinvoke._journal.identity import digest_of
from asyncinvoke._journal.schema import DIGEST
from asyncinvoke._journal.store import Store
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke.errors import JournalError

MOST = 4096
"""The maximum number of items of a piece."""

MOST_BYTES = 8 << 20
"""The maximum size of a piece, in bytes of payload."""

LONGEST_HOLD = 0.01
"""How long reading a piece may block the event loop, in seconds."""

BLOCK = 64
"""The maximum number of items that are read between checks of the clock and the size. A call per
block instead of per item halves the time. The first block is one item and each next one twice as
large, so neither a slow input nor large items are noticed late."""

Monotonic: TypeAlias = Callable[[], float]


@dataclass(slots=True)
class Piece:
    """Consecutive items of an input."""

    items: list[object] = field(default_factory=list)
    """The items as read."""

    written: Written = field(default_factory=lambda: Written([], [], []))
    """The items as sent; fewer than `items` if one cannot be sent."""

    error: Exception | None = None
    """The error that the input raised after these items."""

    def before(self, items: Iterator[object]) -> Iterator[object]:
        """Return the input with the piece put back."""
        return chain(self.items, items if self.error is None else _raising(self.error))

    @property
    def is_whole(self) -> bool:
        """Whether every item can be sent."""
        return self.error is None and len(self.items) == len(self.written.bodies)

    def names_and_digests(self, shared: InvokeParameters) -> bytes:
        """Return the keys, if any, and the digests, concatenated."""
        sha256 = hashlib.sha256
        bodies, requests, names = self.written
        digests = [
            sha256(body).digest()[:DIGEST]
            if parameters is shared
            else digest_of(body, parameters, shared) or b""
            for body, parameters in zip(bodies, requests, strict=True)
        ]
        if not names:
            return b"".join(digests)
        # A key with a lone surrogate is in no journal: its item failed without being recorded.
        encoded = [name.encode("utf-8", "surrogatepass") for name in names]
        return b"".join(chain.from_iterable(zip(encoded, digests, strict=True)))

    def add(self, block: list[object], write: Write) -> int:
        """Add items; return their size in bytes as sent."""
        self.items += block
        written = write(block)
        self.written.bodies.extend(written.bodies)
        self.written.parameters.extend(written.parameters)
        self.written.names.extend(written.names)
        return sum(map(len, written.bodies))


def next_piece(items: Iterator[object], write: Write, *, most: int, monotonic: Monotonic) -> Piece:
    """Read a piece of at most `most` items."""
    piece = Piece()
    until, size, step = monotonic() + LONGEST_HOLD, 0, 1
    most = min(most, MOST)
    while len(piece.items) < most and size < MOST_BYTES and piece.is_whole:
        block, piece.error = _next_block(items, min(step, most - len(piece.items)))
        if not block:
            break
        size += piece.add(block, write)
        if monotonic() >= until:
            break
        step = min(2 * step, BLOCK)
    return piece


def _next_block(items: Iterator[object], most: int) -> tuple[list[object], Exception | None]:
    """Return the next items, and the error that the input raised after them."""
    block: list[object] = []
    read = block.append
    try:
        for item in islice(items, most):
            read(item)
    except Exception as error:  # noqa: BLE001  # the input's own error, raised after its items
        return block, error
    return block, None


def _raising(error: Exception) -> Iterator[object]:
    yield from ()
    raise error


class Skimmer:
    """Skips the beginning of an input.

    Args:
        store: The journal.
        journal: The journal options.
        shared: The request parameters of items without a request of their own.
        in_thread: Calls a blocking function in the journal's thread.
        monotonic: Returns the time of a monotonic clock, in seconds.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        shared: InvokeParameters,
        *,
        in_thread: Callable[..., Awaitable[Any]],
        monotonic: Monotonic,
    ) -> None:
        self._store = store
        self._journal = journal
        self._shared = shared
        self._in_thread = in_thread
        self._monotonic = monotonic

    async def skim(
        self,
        items: Iterator[object],
        write: Write,
        *,
        skipped: Callable[[int, int], None],
        is_over: Callable[[], bool],
    ) -> Iterator[object]:
        """Skip the beginning of an input, piece by piece, as far as all of it has ended.

        Nothing is skipped if outcomes are replayed or a function decides about them, because then
        each item is looked up. With keys, rows are in the order in which the keys were first read,
        which is the order of the input until it changes; from there on, each item is looked up.

        Args:
            items: The input.
            write: Encodes items.
            skipped: Called with the first row and the number of items of each piece skipped.
            is_over: Returns whether reading should stop.

        Returns:
            The rest of the input.
        """
        journal, store, first = self._journal, self._store, 0
        replays = journal.replay and journal.results
        if replays or not isinstance(journal.redrive, Redrive):
            return items
        piece = Piece()
        while first < store.left.known and not is_over():
            # While a piece is compared, the next one is read: SQLite runs without the GIL.
            if not piece.items and piece.error is None:
                piece = self._next_piece(items, write, first)
            if not piece.items:
                break
            ended: list[bool | JournalError] = []
            async with anyio.create_task_group() as comparing:
                comparing.start_soon(self._compare, piece, first, ended)
                await anyio.lowlevel.checkpoint()
                following = self._next_piece(items, write, first + len(piece.items))
            if isinstance(ended[0], JournalError):
                raise ended[0]
            if not ended[0]:
                return piece.before(following.before(items))
            skipped(first, len(piece.items))
            first += len(piece.items)
            piece = following
        return piece.before(items)

    def _next_piece(self, items: Iterator[object], write: Write, first: int) -> Piece:
        most = self._store.left.known - first
        return next_piece(items, write, most=most, monotonic=self._monotonic)

    async def _compare(self, piece: Piece, first: int, ended: list[bool | JournalError]) -> None:
        try:
            ended.append(await self._in_thread(self._has_ended, piece, first))
        except JournalError as error:  # raised by the caller, outside of an exception group
            ended.append(error)

    def _has_ended(self, piece: Piece, first: int) -> bool:
        """Return whether all items of a piece have ended, and none is to run again."""
        try:
            return piece.is_whole and self._store.lookups.are_those(
                first,
                len(piece.items),
                piece.names_and_digests(self._shared),
                failed=self._journal.redrive == Redrive.NONE,
            )
        except sqlite3.Error as error:
            raise explained(self._store.path, error) from None
