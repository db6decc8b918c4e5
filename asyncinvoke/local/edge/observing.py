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
    """One Invoke request and how it was answered; never its payload."""

    request_id: str
    """The answer's request id."""
    function_name: str
    """The function's name or ARN, as the request gave it."""
    invocation_type: str
    """`RequestResponse`, `Event` or `DryRun`."""
    status_code: int
    """The answer's HTTP status, also of one that a fault cut short; 0 if a fault sent none."""
    function_error: str | None
    """What the answer says of a function error; None without."""
    reason: str | None
    """Why the endpoint throttled it; None if it did not, also for the throttle of a fault."""
    duration: float
    """Seconds from the request's last byte to the answer, or to the end of a stream."""
    error_type: str | None = None
    """What kind of error it was, by the answer's body; None without one."""
    error_message: str | None = field(default=None, repr=False)
    """What the answer says of it, which may hold what the function was given."""
    fault: str | None = None
    """The fault that it met, such as `Reset`; None without. What it says of the answer is then what
    was sent of it, not what the function came to."""

    @classmethod
    def of(
        cls,
        request: ReceivedInvocation,
        answer: Answer | None,
        *,
        duration: float,
        fault: str | None = None,
    ) -> "AnsweredInvocation":
        """Say how a request was answered."""
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
    """Return the type and the text of what an answer says went wrong."""
    if answer is None:
        return None, None
    headers = {name.lower(): value for name, value in answer.headers.items()}
    code = headers.get("x-amzn-errortype")
    if code is None and answers.FUNCTION_ERROR not in answer.headers:
        return None, None
    try:
        body = json.loads(answer.payload)
    except ValueError:
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
        """Answer one Invoke request, then call the listener."""
        started = time.monotonic()
        answer = await self._service.invoke(request, sink)
        duration = time.monotonic() - started
        self._listener(AnsweredInvocation.of(request, answer, duration=duration))
        return answer
