"""Cuts bytes into lines; of a line that is too long it holds nothing but the beginning."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST = 6_291_456
"""Most bytes of a line: Lambda's limit of a payload."""

_HELD = len(codecs.BOM_UTF8) + MOST + len(b"\r")

_BEGINNING = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the input that is not empty."""

    number: int
    """Its number in the input, from 1."""

    data: bytes = field(repr=False)
    """Its bytes, without white space around it; only the first few if it is too long."""

    size: int
    """How many bytes it has."""

    is_ended: bool = True
    """Whether a line end follows, or else the end of the input."""

    @property
    def is_too_long(self) -> bool:
        """Whether Lambda would not take it."""
        return self.size > MOST


class Splitter:
    """Cuts bytes into lines, in time that grows with their number and no faster."""

    def __init__(self) -> None:
        self._number = 0
        self._held = bytearray()
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """Take some bytes; give the lines that end in them."""
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            self._hold(piece)
            yield from self._cut(is_ended=True)
        self._hold(rest)

    def finish(self) -> Iterator[Line]:
        """Return what follows the last line end, if anything does."""
        yield from self._cut(is_ended=False)

    def _hold(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= _HELD:
            self._held += piece
        else:
            del self._held[_BEGINNING:]
            self._held += piece[: _BEGINNING - len(self._held)]

    def _cut(self, *, is_ended: bool) -> Iterator[Line]:
        self._number += 1
        data, size = bytes(self._held), self._size
        self._held.clear()
        self._size = 0
        if self._number == 1:
            data = data.removeprefix(codecs.BOM_UTF8)
        data = data.strip()
        if size <= _HELD:
            size = len(data)
        if size:
            yield Line(number=self._number, data=data, size=size, is_ended=is_ended)


class LineCounter:
    """Counts the lines that a `Splitter` would give, without cutting any out."""

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
