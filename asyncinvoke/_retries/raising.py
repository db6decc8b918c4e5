"""From a failed attempt and its verdict to the error that is raised."""

from typing import Any

from asyncinvoke._model.error_body import parse_error_body
from asyncinvoke._model.failure import Failure, FailureKind
from asyncinvoke._model.response import Response
from asyncinvoke._model.text import in_one_line
from asyncinvoke._request.target import Target
from asyncinvoke._retries.classify import CODES, Verdict
from asyncinvoke.errors import (
    FunctionError,
    InvocationError,
    NotReadyError,
    RejectedError,
    ServiceError,
    ThrottledError,
    TransportError,
)

LONGEST_MESSAGE = 300
"""The maximum length of response text quoted in a message."""

_LONGEST_OF_UNKNOWN = 100
"""The maximum length of text quoted for unknown codes: too short to include a request's token."""

# Replaces Lambda's own text, which quotes the payload or the headers.
_IN_OUR_WORDS = {
    "InvalidRequestContentException": "the payload is not JSON that Lambda can parse",
    "InvalidSignatureException": "the signature is not that of the secret key at this time",
    "IncompleteSignatureException": "the signature is incomplete",
}

_MAY_QUOTE = {"MissingAuthenticationTokenException", "UnrecognizedClientException"}
"""Codes of AWS's front ends, whose text is shown only if it is too short to quote a request."""

_PLAIN: dict[FailureKind, type[InvocationError]] = {
    FailureKind.NOT_READY: NotReadyError,
    FailureKind.SERVICE: ServiceError,
    FailureKind.TRANSPORT: TransportError,
    FailureKind.REJECTED: RejectedError,
}


def error_for(failure: Failure, verdict: Verdict, target: Target) -> InvocationError:
    """Build the error for an attempt that got an error response, or no response."""
    facts: dict[str, Any] = {
        "function_name": target.function_name,
        "qualifier": target.qualifier,
        "request_id": failure.request_id,
        "status_code": failure.status_code,
        "code": failure.code if failure.fault is None else failure.fault.value,
        "delivery": verdict.delivery,
        "retry_after": verdict.retry_after,
    }
    error: InvocationError
    if verdict.reason is not None and verdict.scope is not None:
        error = ThrottledError(
            _message(failure), reason=verdict.reason, scope=verdict.scope, **facts
        )
    else:
        error = _PLAIN[verdict.kind](_message(failure), **facts)
    error.__cause__ = failure.cause
    return error


def function_error_for(response: Response, verdict: Verdict, target: Target) -> FunctionError:
    """Build the error for a function that ran and failed."""
    body = parse_error_body(response.payload)
    return FunctionError(
        in_one_line(body.error_message or "", LONGEST_MESSAGE),
        function_error=response.function_error or "",
        error_type=body.error_type,
        error_message=body.error_message,
        stack_trace=body.stack_trace,
        by_platform=body.by_platform,
        response=response,
        function_name=target.function_name,
        qualifier=target.qualifier,
        delivery=verdict.delivery,
        request_id=response.request_id,
        status_code=response.status_code,
    )


def _message(failure: Failure) -> str:
    if failure.code in _IN_OUR_WORDS:
        return _IN_OUR_WORDS[failure.code]
    text = " ".join(failure.message.split())
    is_known = failure.code is None or failure.code in CODES.keys() - _MAY_QUOTE
    if not is_known and len(text) > _LONGEST_OF_UNKNOWN:
        return ""
    # Lambda's own messages need no replacing.
    is_plain = text.isprintable() and len(text) <= LONGEST_MESSAGE
    return text if is_plain else in_one_line(text, LONGEST_MESSAGE)
