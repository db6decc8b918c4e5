"""Encoding payloads and client contexts, with JSON or the caller's codec, and checking their sizes."""

import base64
import functools
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from asyncinvoke._request.request import InvocationType
from asyncinvoke.errors import ConfigurationError, InvalidRequestError

Encode: TypeAlias = Callable[[Any], bytes]
"""Converts the caller's payload to the bytes that are sent."""

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)

# Messages of json about types, which name only the type. Any other message, from json or from a
# payload's own methods, is not repeated, since it may quote the payload.
_NO_VALUE = re.compile(r"Object of type ([\w.]+) is not JSON serializable")
_NO_KEY = re.compile(r"keys must be str, int, float, bool or None, not ([\w.]+)")


def encode_json(value: Any) -> bytes:
    """Encode a value as compact UTF-8 JSON; NaN and infinities, which JSON lacks, are rejected."""
    # UTF-8 cannot encode lone surrogates, which occur only inside strings. They are written as JSON
    # escapes, as json.dumps does.
    try:
        return _ENCODER.encode(value).encode("utf-8", "backslashreplace")
    except BaseException as error:
        del value
        error.__traceback__ = None  # json's frames hold the value
        raise


def why_not_json(error: Exception) -> str:
    """Return why `encode_json` raised, without quoting the value."""
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


MAX_SYNC_PAYLOAD = 6_291_456
"""The maximum payload of a RequestResponse or DryRun invocation, in bytes (Lambda quotas: 6 MB)."""

MAX_EVENT_PAYLOAD = 1_048_576
"""The maximum payload of an Event invocation, in bytes (Lambda quotas: 1 MB since October 2025)."""

MAX_CLIENT_CONTEXT = 3_583
"""The maximum client context encoded as base64, in bytes (service model)."""

_RAW = (bytes, bytearray, memoryview)


def max_payload(invocation_type: InvocationType) -> int:
    """Return the maximum size of a payload, in bytes."""
    return MAX_EVENT_PAYLOAD if invocation_type is InvocationType.EVENT else MAX_SYNC_PAYLOAD


def encode_payload(payload: object, *, encode: Encode, invocation_type: InvocationType) -> bytes:
    """Return the bytes to send for a payload.

    Args:
        payload: `None` for no payload (the function receives `{}`), bytes, which are sent as is,
            or any value that `encode` accepts.
        encode: The codec; by default `encode_json`. An `InvalidRequestError` that it raises is
            propagated unchanged.
        invocation_type: Determines the size limit.

    Raises:
        InvalidRequestError: The payload cannot be encoded or is too large. The message never
            contains the payload.
    """
    if type(payload) is bytes and len(payload) <= MAX_EVENT_PAYLOAD:
        return payload  # a fast path: the payloads of bulk runs are often bytes
    if payload is None:
        return b""
    body: object = None
    # Delete the payload before raising, since the frames of a traceback keep their variables.
    # json's own error is not even kept as the context: its frames hold the payload, and it adds
    # nothing.
    why = ""
    try:
        body = bytes(payload) if isinstance(payload, _RAW) else encode(payload)
    except InvalidRequestError:
        # Raised by the codec itself.
        del payload
        raise
    except Exception as error:
        if encode is not encode_json:
            del payload
            raise InvalidRequestError(
                f"payload cannot be encoded: {type(error).__name__}"
            ) from error
        why = why_not_json(error)
    except BaseException:  # an interrupt; the frames of a custom codec are the caller's
        del payload
        raise
    del payload
    if why:
        raise InvalidRequestError(f"payload cannot be encoded: {why}")
    if not isinstance(body, bytes):
        kind = _closed(body)
        del body
        raise InvalidRequestError(f"payload cannot be encoded: encode returned {kind}, not bytes")
    size = len(body)
    # Nearly all payloads are below both limits; checking this first saves a call.
    if size > MAX_EVENT_PAYLOAD and size > (limit := max_payload(invocation_type)):
        del body
        raise InvalidRequestError(
            f"payload of {size} bytes is too large: {invocation_type} takes at most {limit} bytes"
        )
    return body


def _closed(body: object) -> str:
    """Return the type of a result that is not bytes; close it if it is a coroutine."""
    if inspect.iscoroutine(body):
        body.close()  # avoids the warning about a coroutine that was never awaited
    return type(body).__name__


def encode_client_context(client_context: Mapping[str, object]) -> str:
    """Encode a client context as base64 of JSON, as Lambda expects it.

    Raises:
        InvalidRequestError: It is not a mapping, not JSON-serializable, or longer than 3,583 bytes
            when encoded.
    """
    if not isinstance(client_context, Mapping):
        raise InvalidRequestError(
            f"client_context must be a mapping, not {type(client_context).__name__}"
        )
    encoded = why = ""
    try:
        encoded = base64.b64encode(encode_json(dict(client_context))).decode()
    except Exception as error:  # noqa: BLE001  # a caller's mapping may raise anything
        why = why_not_json(error)
    except BaseException:
        del client_context
        raise
    del client_context
    if why:
        raise InvalidRequestError(f"client_context cannot be encoded: {why}")
    size = len(encoded)
    if size > MAX_CLIENT_CONTEXT:
        del encoded
        raise InvalidRequestError(
            f"client_context has {size} bytes once encoded; "
            f"Lambda takes at most {MAX_CLIENT_CONTEXT}"
        )
    return encoded


def check_plain(name: str, function: Callable[..., Any]) -> None:
    """Check that a callback, which is called without being awaited, is a plain function.

    Args:
        name: The name of the option.
        function: The value of the option.

    Raises:
        ConfigurationError: It is not callable, or calling it would only create a coroutine, which
            would never run.
    """
    if not callable(function):
        raise ConfigurationError(f"{name} must be a function, not {type(function).__name__}")
    if is_awaited(function):
        raise ConfigurationError(
            f"{name} must be a plain function: it is called, not awaited, and an `async def` "
            "would never run"
        )


def is_awaited(function: object) -> bool:
    """Return whether calling it is known to only create a coroutine or an async generator."""
    while isinstance(function, functools.partial):
        function = function.func
    return any(
        inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)
        for called in (function, getattr(type(function), "__call__", None))  # noqa: B004  # not `callable`: its kind counts
    )
