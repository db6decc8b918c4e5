"""The service's answers: status, headers and body of each, as recorded from AWS.

Pure functions. Key casing (`message`, `Message`) differs by error on purpose: the service's model
spells it so, and SDKs read it so.
"""

import base64
import json
from dataclasses import dataclass

from asyncinvoke._model.failure import ThrottleReason
from asyncinvoke.local.protocol.event_stream import CONTENT_TYPE
from asyncinvoke.local.protocol.names import LATEST

SYNC_LIMIT = 6_291_456
"""Largest RequestResponse payload, in bytes (AWS's own error text)."""

EVENT_LIMIT = 1_048_576
"""Largest Event payload, in bytes (AWS's own error text)."""

QUALIFIERS_DIFFER = (
    "The derived qualifier from the function name does not match the specified qualifier."
)
"""What is said to two qualifiers that differ."""

# Never recorded from AWS, so chosen here; correct them in this one place.
TOO_LARGE_STATUS = 413
TOO_LARGE_TYPE = "User"
BAD_CLIENT_CONTEXT = "Client context must be a valid Base64-encoded JSON object."
INTERNAL_ERROR = "The service encountered an internal error."
INTERNAL_ERROR_TYPE = "Service"
UNKNOWN_OPERATION = "UnknownOperationException"
CALLER_THROTTLED = "Rate exceeded"  # as other operations of the service say it
OTHER_THROTTLED = "Rate Exceeded."  # as it is said of the reserved concurrency

_THROTTLED = {
    ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED: "Rate Exceeded.",
    ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED: CALLER_THROTTLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer."""

    status: int
    """The HTTP status."""
    headers: dict[str, str]
    """All headers that the service itself sets."""
    body: bytes = b""
    """The body; empty for 202 and 204."""
    reason: ThrottleReason | None = None
    """Why it throttles, in a 429."""


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
    """Answer 200: the handler ran, well or not."""
    headers = {
        "Content-Type": content_type,
        "x-amzn-RequestId": request_id,
        "x-amzn-Remapped-Content-Length": "0",
        "X-Amz-Executed-Version": version,
        "X-Amzn-Trace-Id": trace_id,
    }
    if function_error is not None:
        headers["X-Amz-Function-Error"] = function_error
    if log is not None:
        headers["X-Amz-Log-Result"] = base64.b64encode(log).decode("ascii")
    return Answer(status=200, headers=headers, body=payload)


def streaming(request_id: str, trace_id: str, *, version: str) -> Answer:
    """Begin an answer of frames."""
    headers = {
        "Content-Type": CONTENT_TYPE,
        "x-amzn-RequestId": request_id,
        "X-Amz-Executed-Version": version,
        "X-Amzn-Trace-Id": trace_id,
    }
    return Answer(status=200, headers=headers)


def accepted(request_id: str, trace_id: str) -> Answer:
    """Answer 202: an Event is in the queue."""
    return Answer(status=202, headers=_empty(request_id, trace_id))


def dry_run(request_id: str, trace_id: str) -> Answer:
    """Answer 204: the call would have been allowed."""
    return Answer(status=204, headers=_empty(request_id, trace_id))


def throttled(request_id: str, reason: ThrottleReason) -> Answer:
    """Answer 429. AWS sends no `Retry-After` with it."""
    message = _THROTTLED.get(reason, OTHER_THROTTLED)
    body = {"Reason": reason.value, "Type": "User", "message": message}
    return error(request_id, 429, "TooManyRequestsException", body, reason)


def function_not_found(request_id: str, arn: str) -> Answer:
    """Answer 404: no function, or no such version or alias."""
    return _not_found(request_id, f"Function not found: {arn}")


def wrong_region(request_id: str, asked: str, here: str) -> Answer:
    """Answer 404: the ARN names another region."""
    return _not_found(request_id, unreachable(asked, here))


def qualifier_conflict(request_id: str) -> Answer:
    """Answer 400: two qualifiers that differ."""
    body = {"Type": "User", "message": QUALIFIERS_DIFFER}
    return error(request_id, 400, "InvalidParameterValueException", body)


def invalid(request_id: str, faults: list[str]) -> Answer:
    """Answer 400: parameters that break the model's constraints."""
    return error(request_id, 400, "ValidationException", {"message": broken_constraints(faults)})


def bad_json(request_id: str, detail: str) -> Answer:
    """Answer 400: the body is not JSON. Clients may rely on the beginning of the text only."""
    message = "Could not parse request body into json: Could not parse payload into json: " + detail
    return _bad_content(request_id, message)


def bad_client_context(request_id: str) -> Answer:
    """Answer 400: the client context is not JSON in base64."""
    return _bad_content(request_id, BAD_CLIENT_CONTEXT)


def too_large(request_id: str, size: int, *, event: bool) -> Answer:
    """Answer 413: the body exceeds the limit of its invocation type."""
    if event:
        message = (
            f"{size} byte payload is too large for the Event invocation type "
            f"(limit {EVENT_LIMIT} bytes)"
        )
    else:
        message = (
            f"Request must be smaller than {SYNC_LIMIT} bytes for the InvokeFunction operation"
        )
    body = {"Type": TOO_LARGE_TYPE, "message": message}
    return error(request_id, TOO_LARGE_STATUS, "RequestEntityTooLargeException", body)


def upload_too_large(request_id: str, limit: int) -> Answer:
    """Answer 413: the body exceeds the limit of the operations that take code."""
    message = f"Request must be smaller than {limit} bytes"
    body = {"Type": TOO_LARGE_TYPE, "message": message}
    return error(request_id, TOO_LARGE_STATUS, "RequestEntityTooLargeException", body)


def unknown_operation(request_id: str) -> Answer:
    """Answer 404: no operation has this path and method."""
    message = "The requested operation is not part of this endpoint."
    return error(request_id, 404, UNKNOWN_OPERATION, {"Message": message})


def conflict(request_id: str, why: str) -> Answer:
    """Answer 409: the function cannot run or be changed now; `not_active` and `updating` say why."""
    return error(request_id, 409, "ResourceConflictException", {"Type": "User", "message": why})


def internal_error(request_id: str) -> Answer:
    """Answer 500: the endpoint could not run the handler at all."""
    body = {"Type": INTERNAL_ERROR_TYPE, "Message": INTERNAL_ERROR}
    return error(request_id, 500, "ServiceException", body)


def _not_found(request_id: str, message: str) -> Answer:
    body = {"Type": "User", "Message": message}
    return error(request_id, 404, "ResourceNotFoundException", body)


def _bad_content(request_id: str, message: str) -> Answer:
    body = {"Type": "User", "message": message}
    return error(request_id, 400, "InvalidRequestContentException", body)


def _empty(request_id: str, trace_id: str) -> dict[str, str]:
    return {
        "x-amzn-RequestId": request_id,
        "x-amzn-Remapped-Content-Length": "0",
        "X-Amzn-Trace-Id": trace_id,
    }


def unreachable(asked: str, here: str) -> str:
    """Say that an ARN names another region."""
    return f"Functions from '{asked}' are not reachable in this region ('{here}')"


def broken_constraints(faults: list[str]) -> str:
    """Say which constraints the parameters of a request break."""
    errors = "error" if len(faults) == 1 else "errors"
    return f"{len(faults)} validation {errors} detected: {'; '.join(faults)}"


def not_active(state: str) -> str:
    """Say that a function is `Pending` or `Failed`."""
    return (
        "The operation cannot be performed at this time. "
        f"The function is currently in the following state: {state}"
    )


def updating(arn: str) -> str:
    """Say that a function is being changed."""
    return (
        "The operation cannot be performed at this time. "
        f"An update is in progress for resource: {arn}"
    )


def error(
    request_id: str,
    status: int,
    code: str,
    body: dict[str, str],
    reason: ThrottleReason | None = None,
) -> Answer:
    """Answer with an error code, as all operations do."""
    headers = {
        "Content-Type": "application/json",
        "x-amzn-RequestId": request_id,
        "x-amzn-ErrorType": code,
    }
    return Answer(
        status=status,
        headers=headers,
        body=json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(),
        reason=reason,
    )
