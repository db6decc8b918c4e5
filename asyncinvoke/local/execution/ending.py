"""How an invocation in a worker process has ended: what is answered, and what the log says of it.

Decides on values; `environment` finds out what happened.
"""

from dataclasses import dataclass

from asyncinvoke.local.execution import function_errors, logs


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an invocation has ended."""

    payload: bytes
    """The handler's answer or the body of the error."""
    function_error: str | None = function_errors.UNHANDLED
    """What `X-Amz-Function-Error` says."""
    content_type: str = "application/json"
    """The type that the runtime gave its answer."""
    status: str = ""
    """What the REPORT line says about it."""
    is_final: bool = False
    """Whether the environment ends with it."""


def answered(payload: bytes, content_type: str) -> Ending:
    """The handler returned."""
    if len(payload) > function_errors.RESPONSE_LIMIT:
        return Ending(payload=function_errors.response_too_large())
    return Ending(payload=payload, function_error=None, content_type=content_type)


def timed_out(request_id: str, timeout: float) -> Ending:
    """Its time was up."""
    payload = function_errors.timed_out(request_id, timeout)
    return Ending(payload=payload, status="Status: timeout", is_final=True)


def exited(request_id: str, status: int, *, out_of_memory: bool) -> Ending:
    """The process ended before it answered.

    Args:
        request_id: The invocation's.
        status: The exit status; negative for the signal that ended it.
        out_of_memory: Whether it was killed for its memory.
    """
    if out_of_memory:
        payload, error_type = function_errors.out_of_memory(request_id), "Runtime.OutOfMemory"
    else:
        payload, error_type = function_errors.exited(request_id, status), "Runtime.ExitError"
    return Ending(payload=payload, status=logs.ERROR_STATUS.format(error_type), is_final=True)
