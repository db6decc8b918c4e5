"""From an HTTP answer to a reply or a failure, without an HTTP library and without botocore.

No I/O, no clock. A contract suite holds it against the real transports.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from http.client import responses
from typing import Any

from asyncinvoke._model.codec import decode_log_result
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply, StreamHead

_THROTTLED = "TooManyRequestsException"


def read_answer(status_code: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
    """Read an answer that came as a whole."""
    found = {name.lower(): value for name, value in headers.items()}
    if status_code >= HTTPStatus.MULTIPLE_CHOICES:
        return _read_error(status_code, found, body)
    return Reply(
        status_code=status_code,
        payload=body,
        executed_version=found.get("x-amz-executed-version"),
        function_error=found.get("x-amz-function-error") or None,
        log_result=decode_log_result(found.get("x-amz-log-result")),
        request_id=found.get("x-amzn-requestid"),
        durable_execution_arn=found.get("x-amz-durable-execution-arn"),
    )


def read_head(status_code: int, headers: Mapping[str, str]) -> StreamHead:
    """Read what comes before the body of a stream."""
    found = {name.lower(): value for name, value in headers.items()}
    return StreamHead(
        status_code=status_code,
        executed_version=found.get("x-amz-executed-version"),
        request_id=found.get("x-amzn-requestid"),
        content_type=found.get("content-type"),
    )


def _read_error(status_code: int, headers: Mapping[str, str], body: bytes) -> Failure:
    hints: dict[str, Any] = {
        "retry_after": headers.get("retry-after"),
        "amz_retry_after": headers.get("x-amz-retry-after"),
    }
    stripped = body.strip()
    if status_code >= HTTPStatus.INTERNAL_SERVER_ERROR and (
        not stripped or stripped.startswith(b"<html>")
    ):
        # Not Lambda's own: botocore looks at the status alone.
        message = responses.get(status_code, "")
        return Failure(status_code=status_code, code=str(status_code), message=message, **hints)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return Failure(fault=TransportFault.PROTOCOL, message=type(error).__name__, cause=error)
    members = _members(text)
    if not isinstance(members, dict):
        return Failure(fault=TransportFault.UNEXPECTED, message="the error is no JSON object")
    named = headers.get("x-amzn-errortype") or members.get("__type") or members.get("code")
    code = str(named or status_code).split(":")[0].rsplit("#", 1)[-1]
    return Failure(
        status_code=status_code,
        code=code,
        message=str(members.get("message") or members.get("Message") or ""),
        reason=members.get("Reason") if code == _THROTTLED else None,
        request_id=headers.get("x-amzn-requestid"),
        **hints,
    )


def _members(text: str) -> Any:
    """Return what an error's body holds; text that is not JSON is its message."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {"message": text}
