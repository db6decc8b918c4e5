"""JSON pointers (RFC 6901) and payload templates: checked on start, and applied to the rows of an input."""

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
from asyncinvoke.errors import InvalidRequestError

MISSING = object()
"""The result of a pointer to a value that does not exist."""


_LONE_TILDE = re.compile("~(?![01])")


class Pointer:
    """A JSON pointer, such as `/id` or `/order/lines/0`; the empty pointer is the whole value.

    Args:
        text: The pointer in RFC 6901 syntax: `~1` is a slash, `~0` a tilde.

    Raises:
        InvalidRequestError: The text is not a JSON pointer; the message says why.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise InvalidRequestError(
                f"a JSON pointer must be a string such as '/id', not {type(text).__name__}"
            )
        if text and not text.startswith("/"):
            raise InvalidRequestError(
                f"{text!r} is not a JSON pointer: it must begin with a slash, as in {'/' + text!r}"
            )
        if _LONE_TILDE.search(text):
            raise InvalidRequestError(
                f"{text!r} is not a JSON pointer: a tilde is written ~0, and a slash ~1"
            )
        tokens = text.split("/")[1:]
        self.text: str = text
        self._tokens = [token.replace("~1", "/").replace("~0", "~") for token in tokens]

    def of(self, value: Any) -> Any:
        """Return the value it points to within a JSON value, or `MISSING`."""
        for token in self._tokens:
            if isinstance(value, dict):
                value = value.get(token, MISSING)
            elif isinstance(value, list) and _is_index(token) and int(token) < len(value):
                value = value[int(token)]
            else:
                return MISSING
            if value is MISSING:
                return MISSING
        return value


def _is_index(token: str) -> bool:
    # No leading zeros, ASCII digits only (RFC 6901, section 4), and not longer than any list index.
    is_number = token.isascii() and token.isdigit() and len(token) < 19
    return is_number and (len(token) == 1 or not token.startswith("0"))


_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(|/[^{}]*)\}|\{")


class Placeholder:
    """A placeholder in a template, to be replaced by a value of the row.

    Args:
        pointer: The pointer to the value.
        is_part: Whether it is part of a longer string, so that the value is inserted as text.
    """

    def __init__(self, pointer: Pointer, *, is_part: bool) -> None:
        self.pointer = pointer
        self.is_part = is_part

    def fill(self, row: Any) -> str:
        """Return the JSON text to insert.

        Raises:
            InvalidRequestError: The row lacks the value, or it cannot be part of a string.
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


Part: TypeAlias = str | Placeholder


class PayloadTemplate:
    """A template for payloads: JSON with placeholders such as `{/pointer}` in its strings.

    A string that is only a placeholder is replaced by the value itself, of any type; `"{}"` is the
    whole row. A placeholder within a longer string accepts strings and numbers. Literal braces are
    written `{{` and `}}`. The template is valid JSON both before and after it is filled in,
    whatever the rows contain.

    Args:
        text: The template.

    Raises:
        InvalidRequestError: It is not JSON, has no placeholder, or has a stray brace.
    """

    # Quoting mistakes are impossible: the template itself must be JSON, and inserted values are
    # always encoded. A `{id}` without its slash would be sent literally a million times, so a brace
    # that is not part of a placeholder is rejected.
    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise InvalidRequestError(
                f"a payload template must be JSON in a string, not {type(text).__name__}"
            )
        try:
            value = parse_json(text.encode("utf-8", "surrogatepass"))
        except NotJsonError as error:
            hint = "" if '"' in text else ', and a placeholder stands in quotes, as in "{/id}"'
            raise InvalidRequestError(
                f"the payload template is {error}: it must be JSON itself{hint}"
            ) from None
        self._parts = _joined(_parts(value))
        if not any(isinstance(part, Placeholder) for part in self._parts):
            raise InvalidRequestError(
                "the payload template has no placeholder, so that all payloads would be the same: "
                '"{/id}" is the value at /id, and "{}" the whole row'
            )

    def fill(self, row: Any) -> bytes:
        """Return the payload for a row, given as parsed by `parse_json`.

        Raises:
            InvalidRequestError: The row lacks a value, or a value has the wrong type.
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
    whole = _PLACEHOLDER.fullmatch(text)
    if whole is not None and whole[1] is not None and not is_name:
        yield Placeholder(Pointer(whole[1]), is_part=False)
        return
    yield '"'
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        yield dump_json(text[end : match.start()])[1:-1]
        end = match.end()
        if match[0] in ("{{", "}}"):
            yield match[0][0]
        elif match[1] is not None:
            yield Placeholder(Pointer(match[1]), is_part=True)
        else:
            raise InvalidRequestError(
                f"{text[match.start() :][:20]!r} in the payload template is not a placeholder: "
                "one is {/name}, or {} for the whole row, and a brace is written {{"
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
