"""The elements of one JSON array, read from blocks, each as its original bytes."""

import codecs
import json
import re
from collections.abc import Iterator

from asyncinvoke._inputs.formats import InputError
from asyncinvoke._inputs.json_text import encode_text
from asyncinvoke._inputs.lines import Row

LONGEST = 16_777_216
"""Most characters of an element."""

_MORE_OF_A_NUMBER = re.compile(r"[-+.eE0-9]*\Z")
"""What may stand behind a number that is cut, as in `1.5e`: nothing, or the begin of the rest."""

_SPACE = re.compile(r"[ \t\n\r]*")


class Array:
    """Elements from blocks; none is held longer than it takes to read it.

    Args:
        name: What the input is called.

    Raises:
        InputError: By `feed` and `finish`: it is no JSON array, or it breaks off. Behind a mistake
            nobody can tell where the next element begins, so that it ends the input.
    """

    # An element that is cut is tried again when there is twice as much of it, so that a long one
    # takes time that grows with its length and no faster. A number may go on in the next block,
    # also one that is a number already: what stands at the very end waits for what follows.

    def __init__(self, name: str) -> None:
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._line = 1
        self._wanted = 0
        self._expects = "["

    def feed(self, block: bytes) -> Iterator[Row]:
        """Take some bytes; give the elements that end in them."""
        is_text = self._take(block, is_last=False)
        if not is_text or len(self._text) >= self._wanted:
            yield from self._elements(is_last=False)
        if not is_text:
            raise self._error("it is not UTF-8 from here on")

    def finish(self) -> Iterator[Row]:
        """Return what is left.

        Raises:
            InputError: The array does not end.
        """
        is_text = self._take(b"", is_last=True)
        if is_text and self._expects == "[" and not self._text.strip(" \t\n\r"):
            raise self._error("it is empty, and should be a JSON array")
        yield from self._elements(is_last=is_text)
        if not is_text:
            raise self._error("it is not UTF-8 from here on")
        if self._expects:
            raise self._error("the JSON array breaks off")

    def _take(self, block: bytes, *, is_last: bool) -> bool:
        """Add bytes to the text; return whether all of them are text."""
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
                yield self._line, encode_text(element), None
                self._line += element.count("\n")
                self._at = end
                self._expects = ","
                continue
            self._at += 1

    def _skip_space(self) -> bool:
        match = _SPACE.match(self._text, self._at)
        assert match is not None  # noqa: S101  # it matches nothing, too
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
        return InputError(f"{self._name}: line {self._line}: {why}")


class _ConstantError(Exception):
    """NaN, or an infinity."""


def _refuse(constant: str) -> None:
    raise _ConstantError(constant)


_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse)
