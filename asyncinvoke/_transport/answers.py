"""Parses Lambda's responses: a reply or a failure, from the status line, the headers and the body.

These are pure functions of a status, headers and a body, used by all transports and by the fake. The
body adds details if it can be parsed, but never overrides the status: a 429 is a throttle, whether
its body is a sentence, a number or not text at all.
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply, StreamHead, decode_log_result
from asyncinvoke._model.text import NO_CHARACTERS
from asyncinvoke._request.request import InvocationType
from asyncinvoke._transport.http.answer import Headers

ACCEPTED = {
    InvocationType.REQUEST_RESPONSE: 200,
    InvocationType.EVENT: 202,
    InvocationType.DRY_RUN: 204,
}
"""The only status that means success, by invocation type. A login page has status 200 too."""

_FIRST_ERROR = 400
_REDIRECTS = (301, 302, 307, 308)
"""The request was not accepted. Redirects are not followed, as that would deliver it twice."""


def decides(status_code: int) -> bool:
    """Return whether the status alone determines the result.

    A body that is truncated, damaged or too long is then ignored.
    """
    return status_code >= _FIRST_ERROR or status_code in _REDIRECTS


_LONGEST_ERROR = 1_048_576
"""The maximum size of a body that is parsed as an error, in bytes; Lambda's have some hundred."""

_CODE = re.compile(r"[\w.-]{1,128}", re.ASCII)


def read_answer(
    status_code: int, headers: Mapping[str, str], body: bytes, accepted: int
) -> Reply | Failure:
    """Parse a complete response.

    Args:
        status_code: The HTTP status.
        headers: The headers by lower-case name.
        body: The whole body.
        accepted: The status that means success; see `ACCEPTED`.
    """
    if status_code != accepted:
        return read_failure(status_code, headers, body, accepted)
    request_id = headers.get("x-amzn-requestid") or None
    executed_version = headers.get("x-amz-executed-version") or None
    if (
        executed_version is not None
        and isinstance(headers, Headers)
        and headers.lowered.count(b"\r\nx-amz-") == 1
    ):
        # Nearly every answer: it has none of the others, so there is no need to look for each.
        return Reply(status_code, body, executed_version, request_id)
    log_result = headers.get("x-amz-log-result")
    return Reply(
        status_code=status_code,
        payload=body,
        executed_version=executed_version,
        function_error=headers.get("x-amz-function-error") or None,
        log_result=None if log_result is None else decode_log_result(log_result),
        request_id=request_id,
        durable_execution_arn=headers.get("x-amz-durable-execution-arn") or None,
    )


def read_stream_head(status_code: int, headers: Mapping[str, str]) -> StreamHead:
    """Parse the head of a successful stream."""
    return StreamHead(
        status_code=status_code,
        executed_version=headers.get("x-amz-executed-version") or None,
        request_id=headers.get("x-amzn-requestid") or None,
        content_type=headers.get("content-type") or None,
    )


def read_failure(
    status_code: int, headers: Mapping[str, str], body: bytes, accepted: int = 200
) -> Failure:
    """Parse an unsuccessful response, as botocore does."""
    if status_code < _FIRST_ERROR and status_code not in _REDIRECTS:
        return Failure(
            fault=TransportFault.STATUS,
            phase=Phase.BODY_READ,
            status_code=status_code,
            message=f"status {status_code}, where {accepted} means success",
            request_id=as_text(headers.get("x-amzn-requestid")) or None,
        )
    members = _members(body)
    return Failure(
        status_code=status_code,
        code=_code(headers, members) or str(status_code),
        message=_message(status_code, members),
        reason=as_text(members.get("Reason")),
        retry_after=as_text(headers.get("retry-after")),
        amz_retry_after=as_text(headers.get("x-amz-retry-after")),
        request_id=as_text(headers.get("x-amzn-requestid")) or None,
    )


def _members(body: bytes) -> dict[str, Any]:
    """Return the members of an error's body; none if it is not a JSON object."""
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
    return as_text(members.get("message", members.get("Message"))) or ""


def texts(headers: Mapping[str, str]) -> dict[str, str]:
    """Convert the headers of an HTTP library: names in lower case, values as valid text.

    Of a repeated header, the first value counts, as on our own connections.
    """
    found: dict[str, str] = {}
    # httpx joins the values of a repeated header, except here; aiohttp yields each of them.
    for name, value in getattr(headers, "multi_items", headers.items)():
        found.setdefault(name.lower(), as_text(value) or "")
    return found


def as_text(value: object) -> str | None:
    """Return a string without surrogates; `None` if the value is not a string."""
    return NO_CHARACTERS.sub(_REPLACED, value) if isinstance(value, str) else None


_REPLACED = "\N{REPLACEMENT CHARACTER}"
