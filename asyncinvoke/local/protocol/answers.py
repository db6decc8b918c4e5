"""The successful responses of the service, as recorded, and the type of all responses.

No I/O, no clock. Errors are in `refusals`.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from asyncinvoke.local.protocol import event_stream
from asyncinvoke.local.protocol.names import LATEST

FUNCTION_ERROR = "X-Amz-Function-Error"
"""The header of a function error."""

_LOG_RESULT = "X-Amz-Log-Result"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Any HTTP response; by default Lambda's for a function that returned `null`."""

    status_code: int = 200
    """The HTTP status."""
    payload: bytes = field(default=b"null", repr=False)
    """The body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers, in addition to `Content-Length` and, for a fault, `x-amzn-RequestId`."""


def succeeded(
    request_id: str,
    trace_id: str,
    payload: bytes,
    *,
    version: str = LATEST,
    function_error: str | None = None,
    log: bytes | None = None,
    content_type: str = "application/json",
) -> Answer:
    """Return the 200 of a handler that ran, successfully or not."""
    headers = {
        "Content-Type": content_type,
        "x-amzn-RequestId": request_id,
        "x-amzn-Remapped-Content-Length": "0",
        "X-Amz-Executed-Version": version,
        "X-Amzn-Trace-Id": trace_id,
    }
    if function_error is not None:
        headers[FUNCTION_ERROR] = function_error
    if log is not None:
        headers[_LOG_RESULT] = base64.b64encode(log).decode("ascii")
    return Answer(payload=payload, headers=headers)


def streaming(request_id: str, trace_id: str, *, version: str) -> Answer:
    """Return the head of a response stream."""
    headers = {
        "Content-Type": event_stream.CONTENT_TYPE,
        "x-amzn-RequestId": request_id,
        "X-Amz-Executed-Version": version,
        "X-Amzn-Trace-Id": trace_id,
    }
    return Answer(payload=b"", headers=headers)


def accepted(request_id: str, trace_id: str) -> Answer:
    """Return the 202 of an accepted Event."""
    return _empty(202, request_id, trace_id)


def dry_run(request_id: str, trace_id: str) -> Answer:
    """Return the 204 of a DryRun that would be allowed."""
    return _empty(204, request_id, trace_id)


def of_json(
    request_id: str, status_code: int, body: object = None, *, error_code: str | None = None
) -> Answer:
    """Return a JSON response, as sent by all operations.

    Args:
        request_id: The request id.
        status_code: The HTTP status.
        body: The JSON value; None for an empty body.
        error_code: AWS's error code, for an error.
    """
    headers = {"Content-Type": "application/json", "x-amzn-RequestId": request_id}
    if error_code is not None:
        headers["x-amzn-ErrorType"] = error_code
    text = "" if body is None else json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    # A lone surrogate, which UTF-8 cannot encode, becomes a JSON escape.
    payload = text.encode(errors="backslashreplace")
    return Answer(status_code=status_code, payload=payload, headers=headers)


def throttle_reason(answer: Answer) -> str | None:
    """Return the `Reason` of a 429 of the service; None for other responses."""
    if answer.status_code != 429:
        return None
    reason: str = json.loads(answer.payload)["Reason"]
    return reason


def has_failed(answer: Answer) -> bool:
    """Return whether a response is a function error."""
    return FUNCTION_ERROR in answer.headers


def last_frame(answer: Answer) -> bytes:
    """Return the last frame of a stream, from the response of an ordinary Invoke."""
    return event_stream.last_frame(
        error=answer.payload if has_failed(answer) else None,
        log_result=answer.headers.get(_LOG_RESULT),
    )


def as_stream(answer: Answer, pieces: list[bytes]) -> Answer:
    """Return a response as a stream of frames; errors of the service are returned unchanged.

    Args:
        answer: The response of an ordinary Invoke.
        pieces: The pieces that the function has written; without any, the body is the only one.
    """
    if answer.status_code != 200:
        return answer
    if not pieces and answer.payload and not has_failed(answer):
        pieces = [answer.payload]
    frames = [*map(event_stream.payload_chunk, pieces), last_frame(answer)]
    # In a stream, the last frame contains these two.
    kept = {k: v for k, v in answer.headers.items() if k not in (FUNCTION_ERROR, _LOG_RESULT)}
    headers = kept | {"Content-Type": event_stream.CONTENT_TYPE}
    return Answer(payload=b"".join(frames), headers=headers)


def _empty(status_code: int, request_id: str, trace_id: str) -> Answer:
    headers = {
        "x-amzn-RequestId": request_id,
        "x-amzn-Remapped-Content-Length": "0",
        "X-Amzn-Trace-Id": trace_id,
    }
    return Answer(status_code=status_code, payload=b"", headers=headers)
