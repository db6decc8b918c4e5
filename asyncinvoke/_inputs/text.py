"""Rows of a text input: its beginning is checked first, then it is read block by block."""

import itertools
from collections.abc import Iterator
from typing import Protocol

from asyncinvoke._inputs.array import Array
from asyncinvoke._inputs.beginning import NeedsMoreError, not_lines, say_not_lines
from asyncinvoke._inputs.delimited import Delimited
from asyncinvoke._inputs.files import Blocks
from asyncinvoke._inputs.formats import HEAD, InputError, InputFormat, other_format, other_kind
from asyncinvoke._inputs.lines import Lines, Row

_EXPECTED = {"jsonl": "JSON in UTF-8", "json": "JSON in UTF-8", "csv": "CSV in UTF-8"}
_EXPECTED |= {"tsv": "TSV in UTF-8"}


class Parser(Protocol):
    """Parses blocks into rows. Each iterator that it returns must be exhausted before the next call."""

    def feed(self, block: bytes) -> Iterator[Row]:
        """Parse a block; yield the rows that end in it."""

    def finish(self) -> Iterator[Row]:
        """Parse the rest; yield the rows in it."""


class Text:
    """The rows of JSON lines, a JSON array, CSV or TSV.

    Args:
        blocks: The bytes of the input.
        name: The name of the input in messages.
        format_: The format of the input.
        is_json_file: Whether it is a file whose name ends in `.json`.
        is_packed_file: Whether it is a compressed file. A small one is read completely before the
            first row is returned, so that a truncated file is detected before anything is sent.
        header: The names of the columns, if the first record is not a header.
    """

    def __init__(
        self,
        blocks: Blocks,
        name: str,
        format_: InputFormat,
        *,
        is_json_file: bool = False,
        is_packed_file: bool = False,
        header: list[str] | None = None,
    ) -> None:
        self._blocks = blocks
        self._name = name
        self._format = format_
        self._is_json_file = is_json_file
        self._is_packed_file = is_packed_file
        self._header = header
        self._parser: Parser | None = None
        self._has_ended = False
        self.total: int | None = None

    async def rows(self) -> Iterator[Row] | None:
        """Return the next rows, possibly none; `None` at the end.

        Raises:
            InputError: The input does not have the expected format, or cannot be read.
        """
        parser = self._parser
        if parser is None:
            return await self._begin()
        if self._has_ended:
            return None
        block = await self._blocks.read()
        if block:
            return parser.feed(block)
        self._has_ended = True
        return parser.finish()

    async def close(self) -> None:
        """Close the input."""
        await self._blocks.close()

    async def _begin(self) -> Iterator[Row]:
        """Read until the kind of the input is known; return the rows that have been read."""
        head = await self._more(b"")
        while len(head) < HEAD and b"\n" not in head and not self._has_ended:
            head = await self._more(head)
        if self._is_packed_file and not self._has_ended:
            head = await self._more(head)
        name, kind = self._name, self._format.name
        message = other_kind(head, name, _EXPECTED[kind])
        if message is not None:
            other = other_format(head, self._format)
            cure = "" if other is None else f"; --from {other} (format={other!r}) reads it"
            raise InputError(f"{message}{cure}")
        if kind == "jsonl":
            while not self._has_ended and _is_undecided(head, self._is_json_file):
                head = await self._more(head)
            found = not_lines(head, is_all=self._has_ended, is_json_file=self._is_json_file)
            if found == "array" and self._is_json_file:
                kind = "json"
            elif found is not None:
                is_given = self._format.is_given and self._format.compression is not None
                suffix = f".{self._format.compression}" if is_given else ""
                raise InputError(say_not_lines(found, name, head, suffix=suffix))
        self._parser = parser = self._parser_of(kind)
        if self._has_ended:
            return itertools.chain(parser.feed(head), parser.finish())
        return parser.feed(head)

    async def _more(self, head: bytes) -> bytes:
        block = await self._blocks.read()
        self._has_ended = not block
        return head + block

    def _parser_of(self, kind: str) -> Parser:
        match kind:
            case "json":
                return Array(self._name)
            case "csv":
                return Delimited(self._name, "CSV", delimiter=",", header=self._header)
            case "tsv":
                return Delimited(self._name, "TSV", delimiter="\t", header=self._header)
            case _:
                return Lines()


def _is_undecided(head: bytes, is_json_file: bool) -> bool:
    try:
        not_lines(head, is_all=False, is_json_file=is_json_file)
    except NeedsMoreError:
        return True
    return False
