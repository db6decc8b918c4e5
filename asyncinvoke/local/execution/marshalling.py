"""JSON encoding of results and errors, as by AWS's Python runtime."""

import contextlib
import json
import math
import re
import secrets
import sys
from decimal import Decimal
from typing import Any

# AWS's runtime escapes non-ASCII characters up to Python 3.11 and no longer from 3.12 on.
_ENSURE_ASCII = sys.version_info < (3, 12)

# `json` cannot write a Decimal as a number. An unguessable string stands in for it, and is replaced
# after encoding.
_MARK = secrets.token_hex(16)
_STANDS_IN = re.compile(f'"{_MARK}([0-9]+)"')

# Most values of an answer, for speed.
_SIMPLE = frozenset({str, int, float, bool, type(None)})
_PLAIN = frozenset({dict, list, tuple})


def marshal(answer: Any) -> bytes:
    """Encode the return value of a handler.

    A `Decimal`, such as DynamoDB's numbers, keeps its digits; bytes inside it are decoded, as values
    and as keys; a named tuple is an object.

    Raises:
        TypeError: It contains an object that JSON cannot represent.
        ValueError: It is circular, has a lone surrogate, or bytes that are not UTF-8.
        RecursionError: It is nested too deeply.
        Exception: An object in it runs code of its own, which raises.
    """
    numbers: list[str] = []

    def stand_in(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode()
        if not isinstance(value, Decimal):
            members = _members(value)
            if members is None:
                kind = type(value).__name__
                raise TypeError(f"Object of type {kind} is not JSON serializable")
            return _plain(members)
        if value.is_nan():
            return math.nan
        numbers.append(str(value))
        return f"{_MARK}{len(numbers) - 1}"

    # Circular, or too deep for this: `json` says which.
    with contextlib.suppress(RecursionError):
        answer = _plain(answer)
    text = json.dumps(answer, ensure_ascii=_ENSURE_ASCII, default=stand_in)
    if numbers:
        text = _STANDS_IN.sub(lambda match: numbers[int(match[1])], text)
    return text.encode()


def _plain(value: Any) -> Any:
    """Return a value with named tuples as dicts and keys of bytes decoded, which `json` does not do."""
    if type(value) not in _PLAIN and isinstance(value, (dict, list, tuple)):
        members = _members(value)
        value = value if members is None else members
    if isinstance(value, dict):
        return {
            key if type(key) is str else _key(key): item if type(item) in _SIMPLE else _plain(item)
            for key, item in value.items()
        }
    if not isinstance(value, (list, tuple)):
        return value
    return [item if type(item) in _SIMPLE else _plain(item) for item in value]


def _members(value: Any) -> dict[Any, Any] | None:
    """Return what a value calls its members, as a named tuple does; `None` if it does not."""
    method = getattr(value, "_asdict", None)
    if not callable(method):
        return None
    try:
        members = method()
    except TypeError:  # it takes arguments, such as that of a class; AWS's runtime ignores any
        return None
    if not isinstance(members, dict):  # a mock has every method, and mocks are what they return
        raise TypeError(f"_asdict() must return a dict, not {type(members).__name__}")
    return members


def _key(key: Any) -> Any:
    if isinstance(key, bytes):
        return key.decode()
    if key is None or isinstance(key, (str, float, int)):
        return key
    kind = type(key).__name__
    raise TypeError(f"keys must be str, int, float, bool or None, not {kind}")


def marshal_error(body: dict[str, Any]) -> bytes:
    """Encode an error; lone surrogates are replaced."""
    return json.dumps(body, ensure_ascii=_ENSURE_ASCII).encode(errors="replace")
