"""Bytes to values and back: JSON, unless the caller brings a codec, and the log tail."""

import base64
import json
from collections.abc import Callable
from typing import Any, TypeAlias

Encode: TypeAlias = Callable[[Any], bytes]
"""Turns what the caller passes as payload into the bytes that are sent."""

Decode: TypeAlias = Callable[[bytes], Any]
"""Turns the bytes that came back into what `Response.json()` returns."""


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def encode_json(value: Any) -> bytes:
    """Encode a value as compact UTF-8 JSON; NaN and infinities are refused, as in JSON itself."""
    return _ENCODER.encode(value).encode()


def decode_json(payload: bytes) -> Any:
    """Decode JSON; an empty payload, as of an Event invocation, is `None`."""
    return json.loads(payload) if payload else None


def decode_log_result(log_result: str | None) -> str | None:
    """Decode the base64 log tail; its first character may be cut in half, and is replaced."""
    if log_result is None:
        return None
    try:
        return base64.b64decode(log_result).decode(errors="replace")
    except ValueError:
        return log_result
