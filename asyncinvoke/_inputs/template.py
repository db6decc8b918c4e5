"""Payload templates: JSON with holes in its strings, checked on start, filled in with JSON."""

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from asyncinvoke._inputs.json_text import (
    NotJsonError,
    Number,
    dump_json,
    encode_text,
    parse_json,
)
from asyncinvoke._inputs.pointer import MISSING, Pointer
from asyncinvoke.errors import InvalidRequestError

_HOLE = re.compile(r"\{\{|\{(|/[^{}]*)\}|\{")


class Hole:
    """A place in a template where a value of the row goes.

    Args:
        pointer: Which value.
        is_part: Whether it stands within a longer string, and goes in as text.
    """

    __slots__ = ("is_part", "pointer")

    def __init__(self, pointer: Pointer, *, is_part: bool) -> None:
        self.pointer = pointer
        self.is_part = is_part

    def fill(self, row: Any) -> str:
        """Return the JSON text that goes here.

        Raises:
            InvalidRequestError: The row has no such value, or none that fits into a string.
        """
        value = self.pointer.of(row)
        if value is MISSING:
            raise InvalidRequestError(f"the template's {self.pointer.text} is not there")
        if not self.is_part:
            return dump_json(value)
        if not isinstance(value, str):
            raise InvalidRequestError(
                f"the template's {self.pointer.text} stands within a text, and is neither a text "
                "nor a number"
            )
        return dump_json(str(value))[1:-1]


Part: TypeAlias = str | Hole


class Template:
    """A payload that is made of each row: JSON, in whose strings `{/pointer}` are holes.

    A string that is nothing but a hole becomes the value that the pointer leads to, of whatever
    type; `"{}"` is the whole row. A hole within a longer string takes texts and numbers. `{{` is a
    brace. So a template is JSON before and after it is filled in, whatever the rows hold.

    Args:
        text: The template.

    Raises:
        InvalidRequestError: It is not JSON, has no hole, or has a brace that is none.
    """

    __slots__ = ("_parts",)

    # Nobody can leave out quotes, or put in too many: the template itself must be JSON, and what
    # goes into it is always encoded. A `{id}` without its slash would be sent as it stands to
    # a million functions, so a brace that is no hole is refused.
    def __init__(self, text: str) -> None:
        try:
            value = parse_json(text.encode("utf-8", "surrogatepass"))
        except NotJsonError as error:
            hint = "" if '"' in text else ', and a hole stands in quotes, as in "{/id}"'
            raise InvalidRequestError(
                f"the payload template is {error}: it must be JSON itself{hint}"
            ) from None
        self._parts = _joined(_parts(value))
        if not any(isinstance(part, Hole) for part in self._parts):
            raise InvalidRequestError(
                "the payload template has no hole, so that all payloads would be the same: "
                '"{/id}" is the value at /id, and "{}" the whole row'
            )

    def fill(self, row: Any) -> bytes:
        """Return the payload for a row, as `parse_json` gives it.

        Raises:
            InvalidRequestError: The row lacks a value, or has one that does not fit.
        """
        filled = [part if isinstance(part, str) else part.fill(row) for part in self._parts]
        return encode_text("".join(filled))


def _parts(value: Any) -> Iterator[Part]:
    if isinstance(value, dict):
        yield "{"
        for number, (name, each) in enumerate(value.items()):
            yield "," * bool(number)
            yield from _of_text(name, is_name=True)
            yield ":"
            yield from _parts(each)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, each in enumerate(value):
            yield "," * bool(number)
            yield from _parts(each)
        yield "]"
    elif isinstance(value, str) and not isinstance(value, Number):
        yield from _of_text(value, is_name=False)
    else:
        yield dump_json(value)


def _of_text(text: str, *, is_name: bool) -> Iterator[Part]:
    whole = _HOLE.fullmatch(text)
    if whole is not None and whole[1] is not None and not is_name:
        yield Hole(Pointer(whole[1]), is_part=False)
        return
    yield '"'
    end = 0
    for match in _HOLE.finditer(text):
        yield dump_json(text[end : match.start()])[1:-1]
        end = match.end()
        if match[0] == "{{":
            yield "{"
        elif match[1] is not None:
            yield Hole(Pointer(match[1]), is_part=True)
        else:
            raise InvalidRequestError(
                f"{text[match.start() :][:20]!r} in the payload template is no hole: "
                "a hole is {/name}, or {} for the whole row, and a brace is written {{"
            )
    yield dump_json(text[end:])[1:-1]
    yield '"'


def _joined(parts: Iterator[Part]) -> list[Part]:
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined
