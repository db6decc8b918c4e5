"""Splits bytes into lines; of a line that is too long only the size is kept."""

import codecs
from collections.abc import Iterator
from typing import TypeAlias

from asyncinvoke._inputs.item import too_many
from asyncinvoke._request.payload import MAX_SYNC_PAYLOAD

Row: TypeAlias = tuple[int | None, bytes, str | None]
"""A row: the line that it begins on, its bytes, and what is wrong with it, if anything is."""

MOST = MAX_SYNC_PAYLOAD
"""Most bytes of a line: Lambda's limit of a payload."""

HELD = len(codecs.BOM_UTF8) + MOST + len(b"\r")
"""How many bytes of a line are held, at most."""


class Lines:
    """JSON lines from blocks, in time that grows with their number and no faster.

    White space around a line is taken off, and lines of nothing else are left out.
    """

    def __init__(self) -> None:
        self._number = 0
        self._held = bytearray()
        self._size = 0

    def feed(self, block: bytes) -> Iterator[Row]:
        """Take some bytes; give the lines that end in them."""
        pieces = block.split(b"\n")
        last = pieces.pop()
        if pieces and (self._size or not self._number):
            self._hold(pieces.pop(0))
            yield from self._cut()
        number = self._number
        for piece in pieces:
            number += 1
            data = piece.strip()
            if data:
                yield number, data, None
        self._number = number
        self._hold(last)

    def finish(self) -> Iterator[Row]:
        """Return what follows the last line end, if anything does."""
        yield from self._cut()

    def _hold(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= HELD:
            self._held += piece
        else:
            self._held.clear()

    def _cut(self) -> Iterator[Row]:
        self._number += 1
        data, size = bytes(self._held), self._size
        self._held.clear()
        self._size = 0
        if size > HELD:
            yield self._number, b"", too_many(size)
            return
        if self._number == 1:
            data = data.removeprefix(codecs.BOM_UTF8)
        data = data.strip()
        if len(data) > MOST:
            yield self._number, b"", too_many(len(data))
        elif data:
            yield self._number, data, None


class LineCounter:
    """Counts the lines that `Lines` would give, without cutting any out."""

    def __init__(self) -> None:
        self._ended = 0
        self._holds_any = False
        self._is_first = True

    @property
    def total(self) -> int:
        """Lines so far, the one under way included."""
        return self._ended + self._holds_any

    def feed(self, block: bytes) -> None:
        """Take some bytes."""
        if self._is_first:
            block, self._is_first = block.removeprefix(codecs.BOM_UTF8), False
        first, *others = block.split(b"\n")
        self._holds_any |= bool(first.strip())
        for piece in others:
            self._ended += self._holds_any
            self._holds_any = bool(piece.strip())
