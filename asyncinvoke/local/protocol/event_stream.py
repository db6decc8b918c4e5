"""Frames of `application/vnd.amazon.eventstream`, the format of response streams.

Each frame consists of its length, the length of its headers, the CRC-32 of these two, the headers, the
payload, and the CRC-32 of everything before. No I/O, no clock. The client uses the SDK's parser.
"""

import json
import struct
import zlib
from collections.abc import Mapping

CONTENT_TYPE = "application/vnd.amazon.eventstream"
"""The `Content-Type` of a response stream."""

# GUESS: not recorded from AWS (docs/fidelity.md)
EXCEPTION_MESSAGE_KEY = "message"
ERROR_CODE = "Unhandled"  # in an InvokeComplete whose details are the body of the error

_TEXT = 7  # the type of header values: a string with a two-byte length


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one frame."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    whole = prelude + struct.pack("!I", zlib.crc32(prelude)) + head + payload
    return whole + struct.pack("!I", zlib.crc32(whole))


def payload_chunk(data: bytes) -> bytes:
    """Return a `PayloadChunk` frame with bytes written by the function."""
    return frame(
        {
            ":event-type": "PayloadChunk",
            ":content-type": "application/octet-stream",
            ":message-type": "event",
        },
        data,
    )


def invoke_complete(
    *,
    error_code: str | None = None,
    error_details: str | None = None,
    log_result: str | None = None,
) -> bytes:
    """Return the `InvokeComplete` frame that ends a stream.

    Args:
        error_code: The error code, such as `Unhandled`; None for a success.
        error_details: The details of the error.
        log_result: The log tail in base64, if requested.
    """
    members = {"ErrorCode": error_code, "ErrorDetails": error_details, "LogResult": log_result}
    given = {name: value for name, value in members.items() if value is not None}
    return frame(
        {
            ":event-type": "InvokeComplete",
            ":content-type": "application/json",
            ":message-type": "event",
        },
        json.dumps(given, separators=(",", ":")).encode(),
    )


def last_frame(*, error: bytes | None, log_result: str | None) -> bytes:
    """Return the frame that ends a stream.

    Args:
        error: The body of the function error; None for a success.
        log_result: The log tail in base64, if requested.
    """
    return invoke_complete(
        error_code=None if error is None else ERROR_CODE,
        error_details=None if error is None else error.decode(errors="replace"),
        log_result=log_result,
    )


def exception(code: str, message: str) -> bytes:
    """Return an `exception` frame, which the service's model lacks but SDKs must handle."""
    return frame(
        {
            ":exception-type": code,
            ":content-type": "application/json",
            ":message-type": "exception",
        },
        json.dumps({EXCEPTION_MESSAGE_KEY: message}, separators=(",", ":")).encode(),
    )


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack("!B", len(key)) + key + struct.pack("!BH", _TEXT, len(text)) + text
