"""One execution: the input of the handler, its result, and the protocol of runners."""

from dataclasses import dataclass
from typing import Any, Protocol

from asyncinvoke.local.execution.calling import Write
from asyncinvoke.local.protocol import answers
from asyncinvoke.local.protocol.answers import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """A request that has passed all checks."""

    request_id: str
    """The request id, as in the response's `x-amzn-RequestId` and the context."""
    function_name: str
    """The registered name."""
    version: str
    """The version that the qualifier refers to; `$LATEST` without one."""
    arn: str
    """The ARN as invoked, with the qualifier if one was given."""
    is_qualified: bool
    """Whether a qualifier was given."""
    payload: bytes
    """The event as JSON text."""
    event: Any
    """The event, decoded."""
    trace_id: str
    """The X-Ray trace id."""
    client_context: dict[str, Any] | None
    """The decoded client context; None for an Event, as in AWS."""
    tenant_id: str | None
    """The tenant id of the request."""
    tail: bool
    """Whether the log tail is requested."""

    def stream_head(self) -> Answer:
        """Return the response that starts a stream."""
        return answers.streaming(self.request_id, self.trace_id, version=self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of an execution."""

    payload: bytes
    """The handler's response, or the body of the error."""
    function_error: str | None = None
    """The value of `X-Amz-Function-Error`; None if the handler returned."""
    log: bytes | None = None
    """The log tail, if requested."""
    content_type: str = "application/json"
    """The content type of the response."""

    def answer(self, invocation: Invocation) -> Answer:
        """Return the response to the Invoke request."""
        return answers.succeeded(
            invocation.request_id,
            invocation.trace_id,
            self.payload,
            version=invocation.version,
            function_error=self.function_error,
            log=self.log,
            content_type=self.content_type,
        )


class Runner(Protocol):
    """Runs the executions of one function; has no concurrency limit."""

    async def run(self, invocation: Invocation, write: Write | None = None) -> Result:
        """Run the handler once, within its timeout.

        Args:
            invocation: The invocation.
            write: Called with each piece that the handler yields; the result is then what follows
                them. Without it the pieces are joined.
        """
        ...
