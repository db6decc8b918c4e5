"""Tells a listener about each Invoke request that was answered; without one it is not there."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from asyncinvoke.local.checks import Request
from asyncinvoke.local.edge.http_edge import Output, Service
from asyncinvoke.local.protocol.answers import Answer


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
    fault: str | None = None
    """The fault that it met, such as `Reset`; None without. What it says of the answer is then what
    was sent of it, not what the function came to."""


Listener = Callable[[AnsweredInvocation], None]
"""Called on the endpoint's loop; must neither block nor raise."""


class Observed:
    """A service that tells a listener."""

    def __init__(self, service: Service, listener: Listener) -> None:
        self._service = service
        self._listener = listener

    async def invoke(
        self, request: Request, request_id: str, output: Output | None = None
    ) -> Answer:
        """Answer one Invoke request, then tell."""
        started = time.monotonic()
        answer = await self._service.invoke(request, request_id, output)
        self._listener(
            AnsweredInvocation(
                request_id=request_id,
                function_name=request.function_name,
                invocation_type=request.invocation_type,
                status_code=answer.status,
                function_error=answer.headers.get("X-Amz-Function-Error"),
                reason=answer.reason and answer.reason.value,
                duration=time.monotonic() - started,
            )
        )
        return answer
