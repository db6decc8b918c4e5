"""The elements of one JSON array, read from blocks, each as its original bytes."""

import codecs
import json
import re
from collections.abc import Iterator

from asyncinvoke._inputs.formats import InputError
from asyncinvoke._inputs.json_text import encode_text
from asyncinvoke._inputs.lines import Row

LONGEST = 16_777_216
"""The maximum length of an element, in characters."""

_MORE_OF_A_NUMBER = re.compile(r"[-+.eE0-9]*\Z")
"""What may follow a number that is cut, as `1.5` of `1.5e3`: nothing, or more of its characters."""

_SPACE = re.compile(r"[ \t\n\r]*")


class Array:
    """Parses the elements of an array from blocks, and keeps only the element that is incomplete.

    Args:
        name: The name of the input in messages.

    Raises:
        InputError: By `feed` and `finish`: the input is not a JSON array, or is incomplete. A
            syntax error ends the input, since the beginning of the next element is unknown.
    """

    # An incomplete element is parsed again once twice as much of it has been read, so that the
    # time for a long element is linear in its length. A number at the end of the text may continue
    # in the next block even if it is valid as it is, so it is kept until more has been read.

    def __init__(self, name: str) -> None:
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._line = 1
        self._count = 0
        self._wanted = 0
        self._expects = "["

    def feed(self, block: bytes) -> Iterator[Row]:
        """Parse a block; yield the elements that end in it."""
        is_text = self._take(block, is_last=False)
        if not is_text or len(self._text) >= self._wanted:
            yield from self._elements(is_last=False)
        if not is_text:
            raise self._error("it is not UTF-8 from here on")

    def finish(self) -> Iterator[Row]:
        """Parse the rest; yield the elements in it.

        Raises:
            InputError: The array is incomplete.
        """
        is_text = self._take(b"", is_last=True)
        if is_text and self._expects == "[" and not self._text.strip(" \t\n\r"):
            raise self._error("it is empty, and should be a JSON array")
        yield from self._elements(is_last=is_text)
        if not is_text:
            raise self._error("it is not UTF-8 from here on")
        if self._expects:
            raise self._error("the JSON array is truncated")

    def _take(self, block: bytes, *, is_last: bool) -> bool:
        """Decode a block and append it to the text; return whether all of it is UTF-8."""
        self._text, self._at = self._text[self._at :], 0
        try:
            self._text += self._decoder.decode(block, is_last)
        except UnicodeDecodeError as error:
            self._text += error.object[: error.start].decode()
            return False
        return True

    def _elements(self, *, is_last: bool) -> Iterator[Row]:
        while self._skip_space():
            character = self._text[self._at]
            if self._expects == "":
                raise self._error("something follows the end of the JSON array")
            if self._expects == "[":
                if character != "[":
                    raise self._error("it is not a JSON array")
                self._expects = "first"
            elif character == "]" and self._expects in ("first", ","):
                self._expects = ""
            elif self._expects == ",":
                if character != ",":
                    raise self._error("a comma is missing, or an element is not JSON")
                self._expects = "element"
            else:
                end = self._end(is_last=is_last)
                if end is None:
                    return
                element = self._text[self._at : end]
                self._count += 1
                yield self._line, encode_text(element), None
                self._line += element.count("\n")
                self._at = end
                self._expects = ","
                continue
            self._at += 1

    def _skip_space(self) -> bool:
        match = _SPACE.match(self._text, self._at)
        assert match is not None  # noqa: S101  # it matches the empty string too
        self._line += self._text.count("\n", self._at, match.end())
        self._at = match.end()
        return self._at < len(self._text)

    def _end(self, *, is_last: bool) -> int | None:
        try:
            _, end = _SCANNER.raw_decode(self._text, self._at)
        except _ConstantError as error:
            raise self._error(f"an element is not JSON: {error} is not a JSON number") from None
        except json.JSONDecodeError:
            left = len(self._text) - self._at
            if is_last or left > LONGEST:
                raise self._error("an element is not JSON") from None
            self._wanted = 2 * left
            return None
        except RecursionError:
            raise self._error("an element is nested too deeply") from None
        if not is_last and _MORE_OF_A_NUMBER.match(self._text, end):
            self._wanted = end - self._at + 1
            return None
        self._wanted = 0
        return end

    def _error(self, why: str) -> InputError:
        # The line alone says little of an array that is all on one.
        after = f", after {self._count:,} element{'s' * (self._count != 1)}" if self._count else ""
        return InputError(f"{self._name}: line {self._line}{after}: {why}")


class _ConstantError(Exception):
    """`NaN`, `Infinity` or `-Infinity`, which are not JSON."""


def _refuse(constant: str) -> None:
    raise _ConstantError(constant)


_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse)
