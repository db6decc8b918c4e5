"""Parses the response to a batch: JSON, and the elements of a JSON array as their original text."""

import json
import re
from typing import Any

from asyncinvoke._batches.shape import MisfitError

# Only the end of a value is needed. Numbers stay strings, since Python limits their digits.
_decode = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
_MOST_DIGITS = 4_000
_SPACE = re.compile(r"[ \t\n\r]*")

_NOT_JSON = "the answer is not JSON"


def read(answer: bytes) -> Any:
    """Return a response decoded from JSON; `None` for an empty one.

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
    """Return the elements of a JSON array, each as its original text.

    Decoding and encoding them again would cost more, and could change numbers.

    Raises:
        MisfitError: The response is not an array.
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
    """Return the members of a valid JSON object, each as its original text.

    Raises:
        MisfitError: It is nested too deeply.
    """
    try:
        return _members(text.decode())
    except RecursionError:
        raise MisfitError(_NOT_JSON) from None


def _members(text: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    at = _after_space(text, _after_space(text, 0) + 1)
    while not text.startswith("}", at):
        name, at = _decode(text, at)
        begin = _after_space(text, _after_space(text, at) + 1)
        _, end = _decode(text, begin)
        found[name] = text[begin:end].encode()
        at = _after_space(text, end)
        if text.startswith(",", at):
            at = _after_space(text, at + 1)
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
    """Encode a part of a response as JSON; `NaN` and infinities, which JSON lacks, are kept."""
    return json.dumps(value, separators=(",", ":")).encode()


def kind_of(value: Any) -> str:
    """Return the JSON type of a value, with its article."""
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
