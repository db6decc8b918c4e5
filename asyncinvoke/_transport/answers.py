"""What an HTTP answer means: a reply or a failure, decided by its status line.

Pure functions over a status, headers and a body, for every way an answer comes, the fake's included.
The body says more where it can be read, and overrules nothing: a 429 that is a sentence, a number or
no text at all is still a throttle.
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply, StreamHead, decode_log_result
from asyncinvoke._request.request import InvocationType

ACCEPTED = {
    InvocationType.REQUEST_RESPONSE: 200,
    InvocationType.EVENT: 202,
    InvocationType.DRY_RUN: 204,
}
"""The one status that means success, for each kind of invocation. A login page says 200, too."""

_FIRST_ERROR = 400
_REDIRECTS = (301, 302, 307, 308)
"""Whoever answers so has not taken the request. It is not followed: that would deliver it twice."""


def decides(status_code: int) -> bool:
    """Whether an answer says all by its status line, so that it counts whatever becomes of its body.

    A body that is cut off, damaged, or longer than any of Lambda's is one that adds nothing.
    """
    return status_code >= _FIRST_ERROR or status_code in _REDIRECTS


_LONGEST_ERROR = 1_048_576
"""Bytes of a body beyond which it is not looked into for an error; Lambda's have some hundred."""

_CODE = re.compile(r"[\w.-]{1,128}", re.ASCII)


def read_answer(
    status_code: int, headers: Mapping[str, str], body: bytes, accepted: int
) -> Reply | Failure:
    """Read an answer that came as a whole.

    Args:
        status_code: The HTTP status.
        headers: The headers, to be had by name in lower case.
        body: The whole body.
        accepted: The status that means success, as `ACCEPTED` has it.
    """
    if status_code != accepted:
        return read_failure(status_code, headers, body, accepted)
    log_result = headers.get("x-amz-log-result")
    return Reply(
        status_code=status_code,
        payload=body,
        executed_version=headers.get("x-amz-executed-version"),
        function_error=headers.get("x-amz-function-error") or None,
        log_result=None if log_result is None else decode_log_result(log_result),
        request_id=headers.get("x-amzn-requestid"),
        durable_execution_arn=headers.get("x-amz-durable-execution-arn"),
    )


def read_stream_head(status_code: int, headers: Mapping[str, str]) -> StreamHead:
    """Read what comes before the body of a stream that was accepted."""
    return StreamHead(
        status_code=status_code,
        executed_version=headers.get("x-amz-executed-version"),
        request_id=headers.get("x-amzn-requestid"),
        content_type=headers.get("content-type"),
    )


def read_failure(
    status_code: int, headers: Mapping[str, str], body: bytes, accepted: int = 200
) -> Failure:
    """Read an answer that is no success; what it says as botocore would read it."""
    if status_code < _FIRST_ERROR and status_code not in _REDIRECTS:
        return Failure(
            fault=TransportFault.STATUS,
            phase=Phase.BODY_READ,
            status_code=status_code,
            message=f"status {status_code}, where {accepted} means success",
            request_id=_text(headers.get("x-amzn-requestid")),
        )
    members = _members(body)
    return Failure(
        status_code=status_code,
        code=_code(headers, members) or str(status_code),
        message=_message(status_code, members),
        reason=_text(members.get("Reason")),
        retry_after=_text(headers.get("retry-after")),
        amz_retry_after=_text(headers.get("x-amz-retry-after")),
        request_id=_text(headers.get("x-amzn-requestid")),
    )


def _members(body: bytes) -> dict[str, Any]:
    """Return what an error's body holds, if it holds anything by name."""
    if len(body) > _LONGEST_ERROR:
        return {}
    try:
        read = json.loads(body.decode())
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _code(headers: Mapping[str, str], members: Mapping[str, Any]) -> str | None:
    for named in (
        headers.get("x-amzn-errortype"),
        members.get("code", members.get("Code")),
        members.get("__type"),
    ):
        # "com.amazonaws.lambda#ServiceException:http://..." is a ServiceException.
        code = named.split(":", 1)[0].rsplit("#", 1)[-1] if isinstance(named, str) else ""
        if _CODE.fullmatch(code):
            return code
    return None


def _message(status_code: int, members: Mapping[str, Any]) -> str:
    if not members:
        try:
            return HTTPStatus(status_code).phrase
        except ValueError:
            return ""
    return _text(members.get("message", members.get("Message"))) or ""


def _text(value: object) -> str | None:
    # A lone surrogate is JSON, and stands for what a header has of no text; but no terminal and no
    # file takes it.
    return value.encode(errors="replace").decode() if isinstance(value, str) else None
