"""Calls `on_invocation` after each answered Invoke request; installed only if it is set."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from asyncinvoke.local.edge.http_edge import InvocationService, Sink
from asyncinvoke.local.protocol import answers
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.protocol.received import ReceivedInvocation


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredInvocation:
    """One Invoke request and its response, without payloads."""

    request_id: str
    """The request id of the response."""
    function_name: str
    """The function's name or ARN, as in the request."""
    invocation_type: str
    """`RequestResponse`, `Event` or `DryRun`."""
    status_code: int
    """The HTTP status, also of a response that a fault truncated; 0 if a fault sent none."""
    function_error: str | None
    """The value of `X-Amz-Function-Error`; None without a function error."""
    reason: str | None
    """The throttle reason; None if not throttled, and for a throttle injected by a fault."""
    duration: float
    """Seconds from the end of the request to the response, or to the end of a stream."""
    error_type: str | None = None
    """What kind of error it was, by the answer's body; None without one."""
    error_message: str | None = field(default=None, repr=False)
    """The error message, which may contain parts of the payload."""
    fault: str | None = None
    """The fault that was applied, such as `Reset`; None without. The other fields then describe the
    response that was sent, not the result of the function."""

    @classmethod
    def of(
        cls,
        request: ReceivedInvocation,
        answer: Answer | None,
        *,
        duration: float,
        fault: str | None = None,
    ) -> "AnsweredInvocation":
        """Return the summary of a request and its response."""
        error_type, error_message = _error_of(answer)
        return cls(
            error_type=error_type,
            error_message=error_message,
            request_id=request.request_id,
            function_name=request.function_name,
            invocation_type=request.invocation_type,
            status_code=0 if answer is None else answer.status_code,
            function_error=None if answer is None else answer.headers.get(answers.FUNCTION_ERROR),
            reason=None if answer is None or fault else answers.throttle_reason(answer),
            duration=duration,
            fault=fault,
        )


def _error_of(answer: Answer | None) -> tuple[str | None, str | None]:
    """Return the type and message of the error in a response; None where there is none."""
    if answer is None:
        return None, None
    headers = {name.lower(): value for name, value in answer.headers.items()}
    code = headers.get("x-amzn-errortype")
    if code is None and answers.FUNCTION_ERROR not in answer.headers:
        return None, None
    try:
        body = json.loads(answer.payload)
    except (ValueError, RecursionError):  # a function may send anything
        body = None
    if not isinstance(body, dict):
        return code, None
    kind = body.get("errorType") if code is None else code
    text = next((body[key] for key in ("errorMessage", "message", "Message") if key in body), None)
    return kind and str(kind), text and str(text)


Listener: TypeAlias = Callable[[AnsweredInvocation], None]
"""Called on the endpoint's loop; must neither block nor raise."""


class Observed:
    """A service that calls a listener."""

    def __init__(self, service: InvocationService, listener: Listener) -> None:
        self._service = service
        self._listener = listener

    async def invoke(self, request: ReceivedInvocation, sink: Sink | None = None) -> Answer:
        """Handle one Invoke request, then call the listener."""
        started = time.monotonic()
        answer = await self._service.invoke(request, sink)
        duration = time.monotonic() - started
        self._listener(AnsweredInvocation.of(request, answer, duration=duration))
        return answer
