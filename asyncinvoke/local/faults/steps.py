"""The steps that can replace a response: other responses, errors, broken connections."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from asyncinvoke.local.protocol import event_stream
from asyncinvoke.local.protocol.answers import FUNCTION_ERROR, Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncated:
    """A response whose body is shorter than its `Content-Length`, ended by a FIN."""

    answer: Answer = field(default_factory=Answer)
    """The response to truncate."""
    sent: int = 1
    """The number of bytes of the body to send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """The connection is reset (RST)."""

    read: bool = True
    """Whether to read the whole request first, or only its first line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The connection is closed (FIN) without a response, after the request is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """Silence, then a reset; with `sent` set, in the middle of a response."""

    seconds: float = math.inf
    """The duration in seconds; by default until the client disconnects or the endpoint closes."""
    sent: bytes = field(default=b"", repr=False)
    """The bytes sent before the silence, such as a status line or half of a response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """Arbitrary bytes instead of an HTTP response, then a FIN."""

    sent: bytes = field(default=b"\x16\x03\x01 this is not HTTP\r\n\r\n", repr=False)
    """The bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """A response stream: its headers, its frames, and how it ends."""

    frames: tuple[bytes, ...] = field(default=(), repr=False)
    """The frames of the body; `stream` makes those that Lambda would send."""
    ending: Literal["finished", "closed", "reset", "stalled"] = "finished"
    """How the body ends: normally, by a FIN or an RST instead of its last chunk, or with silence
    until the client disconnects or the endpoint closes."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers in addition to `Content-Type` and `x-amzn-RequestId`."""


Step: TypeAlias = Answer | Streamed | Truncated | Reset | Close | Stall | Raw
"""A replacement for the response to one request."""


def is_read(step: Step) -> bool:
    """Return whether the whole request is read before a step is played."""
    return not isinstance(step, Reset) or step.read


def error(
    status_code: int,
    code: str,
    message: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    **members: str,
) -> Answer:
    """Return Lambda's response for an error code.

    Args:
        status_code: The HTTP status.
        code: AWS's error code, sent as `x-amzn-ErrorType`.
        message: The error message, sent as `Message`.
        headers: Additional headers.
        **members: Additional members of the body, such as `Reason`.
    """
    return Answer(
        status_code=status_code,
        payload=json.dumps({"Type": "User", "Message": message, **members}).encode(),
        headers={"Content-Type": "application/json", "x-amzn-ErrorType": code, **(headers or {})},
    )


def throttle(
    reason: str | None = "ConcurrentInvocationLimitExceeded",
    *,
    retry_after: str | None = None,
    amz_retry_after: str | None = None,
) -> Answer:
    """Return Lambda's response to a throttled request.

    Args:
        reason: The `Reason`, as AWS spells it; `None` omits it.
        retry_after: The `Retry-After` header: seconds or an HTTP date.
        amz_retry_after: The `x-amz-retry-after` header: milliseconds.
    """
    hints = {"Retry-After": retry_after, "x-amz-retry-after": amz_retry_after}
    members = {"message": "Rate Exceeded."} | ({} if reason is None else {"Reason": reason})
    return Answer(
        status_code=429,
        payload=json.dumps({"Type": "User", **members}).encode(),
        headers={
            "Content-Type": "application/json",
            "x-amzn-ErrorType": "TooManyRequestsException",
            **{name: value for name, value in hints.items() if value is not None},
        },
    )


def function_error(error_type: str = "Exception", error_message: str = "") -> Answer:
    """Return Lambda's response for a function that raised an exception."""
    body = {"errorMessage": error_message, "errorType": error_type, "stackTrace": []}
    return Answer(
        payload=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", FUNCTION_ERROR: "Unhandled"},
    )


def stream(
    *chunks: bytes,
    error_code: str | None = None,
    error_details: str | None = None,
    log_result: str | None = None,
) -> Streamed:
    """Return Lambda's response for a function that writes chunks and then returns or fails.

    Args:
        *chunks: The chunks.
        error_code: The error code if the function fails, such as `Unhandled`.
        error_details: The details of the error.
        log_result: The end of the log, in base64.
    """
    complete = event_stream.invoke_complete(
        error_code=error_code, error_details=error_details, log_result=log_result
    )
    return Streamed(frames=(*map(event_stream.payload_chunk, chunks), complete))
