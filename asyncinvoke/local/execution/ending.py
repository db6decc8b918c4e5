"""The endings of invocations in worker processes: response and log status of each.

Functions of values; `environment` determines what happened.
"""

from dataclasses import dataclass

from asyncinvoke.local.execution import function_errors, logs


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an invocation has ended."""

    payload: bytes
    """The handler's response or the body of the error."""
    function_error: str | None = function_errors.UNHANDLED
    """The value of `X-Amz-Function-Error`; None for a success."""
    content_type: str = "application/json"
    """The content type of the response."""
    status: str = ""
    """The status in the REPORT line."""
    is_final: bool = False
    """Whether the environment ends as well."""


def answered(payload: bytes, content_type: str) -> Ending:
    """Return the ending of a handler that returned."""
    if len(payload) > function_errors.RESPONSE_LIMIT:
        return Ending(payload=function_errors.response_too_large())
    return Ending(payload=payload, function_error=None, content_type=content_type)


def timed_out(request_id: str, timeout: float) -> Ending:
    """Return the ending of an invocation that timed out."""
    payload = function_errors.timed_out(request_id, timeout)
    return Ending(payload=payload, status="Status: timeout", is_final=True)


def exited(request_id: str, status: int, *, out_of_memory: bool) -> Ending:
    """Return the ending of a process that exited without a response.

    Args:
        request_id: The request id of the invocation.
        status: The exit status; a negated signal number if a signal ended it.
        out_of_memory: Whether it was killed for exceeding its memory.
    """
    if out_of_memory:
        payload, error_type = function_errors.out_of_memory(request_id), "Runtime.OutOfMemory"
    else:
        payload, error_type = function_errors.exited(request_id, status), "Runtime.ExitError"
    return Ending(payload=payload, status=logs.ERROR_STATUS.format(error_type), is_final=True)
