"""Bytes to values and back: JSON, unless the caller brings a codec, and the log tail."""

import base64
import json
import re
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

Encode: TypeAlias = Callable[[Any], bytes]
"""Turns what the caller passes as payload into the bytes that are sent."""

Decode: TypeAlias = Callable[[bytes], Any]
"""Turns the bytes that came back into what `Response.json()` returns."""


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)

# What json says of types, which names them; whatever else it or a payload's own methods say is not
# repeated, since it may quote the payload.
_NO_VALUE = re.compile(r"Object of type ([\w.]+) is not JSON serializable")
_NO_KEY = re.compile(r"keys must be str, int, float, bool or None, not ([\w.]+)")


def encode_json(value: Any) -> bytes:
    """Encode a value as compact UTF-8 JSON; NaN and infinities are refused, as in JSON itself."""
    # What UTF-8 cannot hold is half a surrogate pair, which only occurs within a string. This
    # writes it as JSON's own escape, as json.dumps does.
    return _ENCODER.encode(value).encode("utf-8", "backslashreplace")


def why_not_json(error: Exception) -> str:
    """Say why `encode_json` has raised, without quoting anything of the value."""
    text = str(error)
    match error:
        case RecursionError():
            return "it is nested too deeply"
        case TypeError() if found := _NO_VALUE.fullmatch(text):
            return f"it holds a value of type {found[1]}, which JSON cannot hold"
        case TypeError() if found := _NO_KEY.fullmatch(text):
            return f"it holds a key of type {found[1]}, where JSON takes strings"
        case ValueError() if text.startswith("Out of range float values"):
            return "it holds NaN or an infinity, which JSON cannot hold"
        case ValueError() if text == "Circular reference detected":
            return "it contains itself"
        case ValueError() if text.startswith("Exceeds the limit"):
            return f"it holds an integer of more than {sys.get_int_max_str_digits():,} digits"
    return type(error).__name__


def decode_json(payload: bytes) -> Any:
    """Decode JSON; an empty payload, as of an Event invocation, is `None`.

    Raises:
        ValueError: It is not JSON, or nested too deeply to be read.
    """
    try:
        return json.loads(payload) if payload else None
    except RecursionError:
        raise ValueError("the payload is nested too deeply to be read") from None


def decode_log_result(log_result: str | None) -> str | None:
    """Decode the base64 log tail; its first character may be cut in half, and is replaced."""
    if log_result is None:
        return None
    try:
        return base64.b64decode(log_result).decode(errors="replace")
    except ValueError:
        return log_result
