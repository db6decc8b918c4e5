"""Reads what a function returned for a batch: a JSON array, split into the texts of its elements."""

import json
import re
from typing import Any

from asyncinvoke._batches.shape import MisfitError

_decode = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"[ \t\n\r]*")

_NOT_JSON = "the answer is not JSON"


def read(answer: bytes) -> Any:
    """Return what an answer holds; `None` for an empty one.

    Raises:
        MisfitError: It is not JSON.
    """
    try:
        return json.loads(answer) if answer else None
    except (ValueError, RecursionError):
        raise MisfitError(_NOT_JSON) from None


def elements(answer: bytes) -> list[bytes]:
    """Return the elements of a JSON list, each as its own text.

    Decoding them and encoding them again would cost more, and might not give the same numbers.

    Raises:
        MisfitError: It is no list.
    """
    try:
        text = answer.decode()
    except UnicodeDecodeError:
        raise MisfitError(_NOT_JSON) from None
    at = _after_space(text, 0)
    if not text.startswith("[", at):
        raise MisfitError(f"the answer is {kind_of(read(answer))}, and not a list")
    try:
        return _cut(text, at + 1)
    except MisfitError:
        raise
    except (ValueError, RecursionError):
        raise MisfitError(_NOT_JSON) from None


def _cut(text: str, at: int) -> list[bytes]:
    cut: list[bytes] = []
    at = _after_space(text, at)
    if text.startswith("]", at):
        return _whole(cut, text, at)
    while True:
        _, end = _decode(text, at)
        cut.append(text[at:end].encode())
        at = _after_space(text, end)
        if text.startswith("]", at):
            return _whole(cut, text, at)
        if not text.startswith(",", at):
            raise MisfitError(_NOT_JSON)
        at = _after_space(text, at + 1)


def _whole(cut: list[bytes], text: str, at: int) -> list[bytes]:
    if _after_space(text, at + 1) != len(text):
        raise MisfitError(_NOT_JSON)
    return cut


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def as_json(value: Any) -> bytes:
    """Return a part of an answer as JSON again; what JSON lacks is written as it came (`NaN`)."""
    return json.dumps(value, separators=(",", ":")).encode()


def kind_of(value: Any) -> str:
    """Return what a value is in JSON's words, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
    return "an object"
