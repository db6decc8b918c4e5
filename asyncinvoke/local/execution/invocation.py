"""One execution: the handler's input, its result and answer, and the protocol of runners."""

from dataclasses import dataclass
from typing import Any, Protocol

from asyncinvoke.local.execution.calling import Write
from asyncinvoke.local.protocol import answers
from asyncinvoke.local.protocol.answers import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """A request that passed every check."""

    request_id: str
    """The answer's `x-amzn-RequestId` and the context's `aws_request_id`."""
    function_name: str
    """The registered name."""
    version: str
    """The version that the qualifier means; `$LATEST` without one."""
    arn: str
    """The ARN as invoked, with the qualifier when one was given."""
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
    """Whether the log's tail is wanted."""

    def stream_head(self) -> Answer:
        """Return the answer that a stream begins with."""
        return answers.streaming(self.request_id, self.trace_id, version=self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How an execution ended."""

    payload: bytes
    """The handler's answer, or the body of its error."""
    function_error: str | None = None
    """The value of `X-Amz-Function-Error`; None when the handler returned."""
    log: bytes | None = None
    """The log's tail, when it was wanted."""
    content_type: str = "application/json"
    """The type that the runtime gave its answer."""

    def answer(self, invocation: Invocation) -> Answer:
        """Return what an Invoke is answered."""
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
    """Runs the executions of one function; holds no limit of its own."""

    async def run(self, invocation: Invocation, write: Write | None = None) -> Result:
        """Run the handler once, within its timeout.

        Args:
            invocation: What it is given.
            write: Takes what it yields; the result is then what follows that, if anything does.
                Without it the pieces are joined.
        """
        ...
