"""Reads what a function returned for a batch: a JSON array, split into the texts of its elements."""

import json
import re
from typing import Any

from asyncinvoke._batches.shape import MisfitError

# Where a value ends is all that is asked; Python's integers have a limit that JSON's lack.
_decode = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
_MOST_DIGITS = 4_000
_SPACE = re.compile(r"[ \t\n\r]*")

_NOT_JSON = "the answer is not JSON"


def read(answer: bytes) -> Any:
    """Return what an answer holds; `None` for an empty one.

    Raises:
        MisfitError: It is not JSON.
    """
    if not answer:
        return None
    try:
        text = answer.decode()
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            raise
        except ValueError:  # too many digits for an integer
            return json.loads(text, parse_int=_as_number)
    except (ValueError, RecursionError):
        raise MisfitError(_NOT_JSON) from None


def _as_number(digits: str) -> float:
    return int(digits) if len(digits) < _MOST_DIGITS else float(digits)


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


def members(text: bytes) -> dict[str, bytes]:
    """Return the members of what is known to be a JSON object, each as its own text.

    Raises:
        MisfitError: It is nested too deeply.
    """
    try:
        return _members(text.decode())
    except RecursionError:
        raise MisfitError(_NOT_JSON) from None


def _members(said: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    at = _after_space(said, _after_space(said, 0) + 1)
    while not said.startswith("}", at):
        name, at = _decode(said, at)
        begin = _after_space(said, _after_space(said, at) + 1)
        _, end = _decode(said, begin)
        found[name] = said[begin:end].encode()
        at = _after_space(said, end)
        if said.startswith(",", at):
            at = _after_space(said, at + 1)
    return found


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
