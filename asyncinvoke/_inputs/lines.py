"""Splits bytes into lines; only the size of a line that is too long is kept."""

import codecs
from collections.abc import Iterator
from typing import TypeAlias

from asyncinvoke._inputs.item import too_many
from asyncinvoke._request.payload import MAX_SYNC_PAYLOAD

Row: TypeAlias = tuple[int | None, bytes, str | None]
"""A row: the number of the line on which it begins, its bytes, and an error message or `None`."""

MOST = MAX_SYNC_PAYLOAD
"""The maximum size of a line, in bytes: Lambda's limit for a payload."""

HELD = len(codecs.BOM_UTF8) + MOST + len(b"\r")
"""The maximum number of bytes of a line that are buffered."""


class Lines:
    """Splits blocks into lines, in linear time.

    White space around a line is stripped, and empty lines are skipped.
    """

    def __init__(self) -> None:
        self._number = 0
        self._held = bytearray()
        self._size = 0

    def feed(self, block: bytes) -> Iterator[Row]:
        """Split a block; yield the lines that end in it."""
        pieces = block.split(b"\n")
        last = pieces.pop()
        if pieces and (self._size or not self._number):
            self._keep(pieces.pop(0))
            yield from self._cut()
        number = self._number
        for piece in pieces:
            number += 1
            data = piece.strip()
            if data:
                yield number, data, None
        self._number = number
        self._keep(last)

    def finish(self) -> Iterator[Row]:
        """Yield the last line, if it has no line end."""
        yield from self._cut()

    def _keep(self, piece: bytes) -> None:
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
    """Counts the lines that `Lines` would yield, without creating them."""

    def __init__(self) -> None:
        self._ended = 0
        self._holds_any = False
        self._is_first = True

    @property
    def total(self) -> int:
        """The number of lines so far, including an incomplete last one."""
        return self._ended + self._holds_any

    def feed(self, block: bytes) -> None:
        """Count the lines of a block."""
        if self._is_first:
            block, self._is_first = block.removeprefix(codecs.BOM_UTF8), False
        first, *others = block.split(b"\n")
        self._holds_any |= bool(first.strip())
        for piece in others:
            self._ended += self._holds_any
            self._holds_any = bool(piece.strip())
