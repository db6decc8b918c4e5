"""Feeds a parser with text in given pieces."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from hypothesis import strategies as st

from asyncinvoke._inputs.lines import Row


class Parser(Protocol):
    def feed(self, block: bytes) -> Iterator[Row]: ...

    def finish(self) -> Iterator[Row]: ...


def parsed(parser: Parser, pieces: Iterable[bytes]) -> list[Row]:
    rows = [row for piece in pieces for row in parser.feed(piece)]
    return [*rows, *parser.finish()]


def pieces_of(data: st.DataObject, text: bytes) -> list[bytes]:
    """Return a strategy for cutting a text into pieces."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
