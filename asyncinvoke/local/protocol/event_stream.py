"""Frames of `application/vnd.amazon.eventstream`, which make up a response stream.

Each is: its length, the length of its headers and the CRC-32 of those two, the headers, the
payload, and the CRC-32 of all before. No I/O, no clock. The client decodes with the SDK's parser.
"""

import json
import struct
import zlib
from collections.abc import Mapping

CONTENT_TYPE = "application/vnd.amazon.eventstream"
"""The `Content-Type` of an answer that is made of frames."""

# GUESS: not recorded from AWS (docs/fidelity.md)
EXCEPTION_MESSAGE_KEY = "message"
ERROR_CODE = "Unhandled"  # of an InvokeComplete whose details are the body of the error

_TEXT = 7  # the type of a header value: text with a length of two bytes


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one frame."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    whole = prelude + struct.pack("!I", zlib.crc32(prelude)) + head + payload
    return whole + struct.pack("!I", zlib.crc32(whole))


def payload_chunk(data: bytes) -> bytes:
    """Return the frame of a `PayloadChunk`: bytes as the function wrote them."""
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
    """Return the frame of the `InvokeComplete` that ends a stream.

    Args:
        error_code: What went wrong, such as `Unhandled`; None if nothing did.
        error_details: More about it.
        log_result: The log's tail in base64, when it was wanted.
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
        error: The body of the function error, if it came to one.
        log_result: The log's tail in base64, when it was wanted.
    """
    return invoke_complete(
        error_code=None if error is None else ERROR_CODE,
        error_details=None if error is None else error.decode(errors="replace"),
        log_result=log_result,
    )


def exception(code: str, message: str) -> bytes:
    """Return an `exception` frame, which the service's model does not name but SDKs must read."""
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
