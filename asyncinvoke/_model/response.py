"""What Lambda answered: the reply to one attempt, and the response of an execution."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, dataclass_transform

from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.error_body import parse_error_body
from asyncinvoke._model.failure import FailureKind, ThrottleReason

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Out = TypeVar("Out", default=Any)
else:
    from typing import TypeVar

    Out = TypeVar("Out")

_T = TypeVar("_T")

_BILLED = re.compile(r"^REPORT RequestId: .*\bBilled Duration: ([0-9]{1,15}) ms", re.MULTILINE)
"""A line that Lambda writes to the end of a function's log."""


Decode: TypeAlias = Callable[[bytes], Any]
"""Turns the bytes that came back into what `Response.json()` returns."""


def decode_json(payload: bytes) -> Any:
    """Decode JSON; an empty payload, as of an Event invocation, is `None`.

    Raises:
        ValueError: It is not JSON, or nested too deeply to be read.
    """
    try:
        return json.loads(payload) if payload else None
    except RecursionError:
        raise ValueError("the payload is nested too deeply to be read") from None


def decode_log_result(log_result: str | None) -> str | None:
    """Decode the base64 log tail; its first character may be cut in half, and is replaced."""
    if log_result is None:
        return None
    try:
        return base64.b64decode(log_result).decode(errors="replace")
    except ValueError:
        return log_result


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def value(cls: type[_T]) -> type[_T]:
    """Make a slotted dataclass that type checkers hold frozen.

    One that is frozen at run time too takes seven times as long to make, since each field is then
    set through `object.__setattr__` (nine fields: 960 ns against 131 to 364). Every invocation makes
    three of these values, so here the type checker is trusted to keep them unchanged. Use it for
    nothing else.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)


@value
class Attempt:
    """One try: when, how long, and how it ended. Never holds the payload."""

    number: int
    """Which try of its execution this is, from 1; that of the last is how many there were."""

    waited: float = 0.0
    """How long it waited for a permit, in seconds."""

    started: float
    """When it began, in seconds since the epoch."""

    elapsed: float
    """How long it took, in seconds, without the wait for a permit."""

    kind: FailureKind | None = None
    """What went wrong; `None` if it succeeded."""

    delivery: Delivery | None = None
    """How far the request got, if it failed; `None` if it succeeded."""

    status_code: int | None = None
    """The HTTP status, if there was an answer."""

    code: str | None = None
    """AWS's error code, or a transport fault such as `ReadTimeout`; `None` if it succeeded."""

    reason: ThrottleReason | None = None
    """Why it was throttled, if it was."""

    request_id: str | None = None
    """AWS's id of the request, if there was an answer."""

    delay: float | None = None
    """The backoff before the next try, in seconds; `None` if there was no next try."""

    omitted: int = 0
    """How many tries before this one are not kept: of very many, the first and the last are."""


@value
class Reply:
    """The answer to one attempt that reached the function, as the transport read it."""

    status_code: int
    """200, 202 for Event, 204 for DryRun."""

    payload: bytes = field(repr=False)
    """The answer's body."""

    executed_version: str | None = None
    """The version that ran; absent for Event and DryRun."""

    function_error: str | None = None
    """`Unhandled` or another word if the function failed."""

    log_result: str | None = field(default=None, repr=False)
    """The end of the log, decoded."""

    request_id: str | None = None
    """AWS's id of the request, which the function sees as `aws_request_id`."""

    durable_execution_arn: str | None = None
    """The ARN of the durable execution, if there is one."""


@value
class Response(Generic[Out]):
    """The result of an execution. Neither payload nor log shows in its `repr`."""

    status_code: int
    """200; 202 for Event: accepted, not yet run; 204 for DryRun."""

    payload: bytes = field(repr=False)
    """What the function returned, as bytes."""

    executed_version: str | None = None
    """The version that ran; absent for Event and DryRun."""

    function_error: str | None = None
    """`Unhandled` or another word if the function failed and the caller asked not to raise."""

    log_result: str | None = field(default=None, repr=False)
    """The last 4,096 bytes of the log as text, if `log_type` was `Tail`."""

    request_id: str | None = None
    """AWS's id of the last request, which the function saw as `aws_request_id`."""

    durable_execution_arn: str | None = None
    """The ARN of the durable execution, if there is one."""

    attempts: tuple[Attempt, ...] = ()
    """Every try, the last one included."""

    decode: Decode = field(default=decode_json, repr=False, compare=False)
    """The codec that `json()` uses."""

    @property
    def elapsed(self) -> float:
        """How long the execution took, in seconds, waits and retries included."""
        if not self.attempts:
            return 0.0
        first, last = self.attempts[0], self.attempts[-1]
        # Both are times of day, and somebody may set the clock between two attempts.
        return max(last.started - first.started, 0.0) + first.waited + last.elapsed

    @property
    def text(self) -> str:
        """The payload as UTF-8, with a replacement character for what is not."""
        return self.payload.decode(errors="replace")

    @property
    def billed_duration(self) -> float | None:
        """What Lambda bills, in seconds, as the end of the log says; `None` without `log_type="Tail"`."""
        # The last one is Lambda's: a function may have written such a line before.
        said = _BILLED.findall(self.log_result or "")
        return int(said[-1]) / 1000 if said else None

    def json(self) -> Out:
        """Decode the payload.

        Returns:
            What the payload holds; `None` for an empty one, as of Event and DryRun. What a function
            error says is read as JSON, whatever the codec.

        Raises:
            ValueError: The payload is not JSON, or nested too deeply to be read (or what the
                invoker's own `decode` raises).
        """
        decoded: Out = (
            self.decode(self.payload)
            if self.payload and self.function_error is None
            # No codec of the caller's own is for an empty payload, or for the error of a function.
            else decode_json(self.payload)
        )
        return decoded

    def __reduce__(self) -> tuple[Callable[..., "Response[Any]"], tuple[dict[str, object]]]:
        # A caller's own codec may be a lambda, and errors that hold a response must pickle.
        state = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "decode"}
        return _restore, (state,)


def _restore(state: dict[str, Any]) -> Response[Any]:
    return Response(**state)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHead:
    """The answer that a stream follows."""

    status_code: int
    """The HTTP status."""

    executed_version: str | None = None
    """The version that runs."""

    request_id: str | None = None
    """AWS's id of the request, which the function sees as `aws_request_id`."""

    content_type: str | None = None
    """The `Content-Type` of the answer, which is that of the frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnd:
    """`InvokeComplete`: the function has returned, or failed."""

    error_code: str | None = None
    """`Unhandled` or another word if the function failed."""

    error_details: str | None = field(default=None, repr=False)
    """What it said about that."""

    log_result: str | None = field(default=None, repr=False)
    """The end of the log, decoded."""

    def reply(self, head: StreamHead) -> Reply:
        """Return what an answer without a stream would have said."""
        return Reply(
            status_code=head.status_code,
            payload=self._payload(),
            executed_version=head.executed_version,
            function_error=self.error_code,
            log_result=self.log_result,
            request_id=head.request_id,
        )

    def _payload(self) -> bytes:
        """Return the body of the function error: the details, where they are one."""
        if self.error_code is None:
            return b""
        details = self.error_details or ""
        body = parse_error_body(details.encode())
        if body.error_type is not None:
            return details.encode()
        return json.dumps(
            {"errorType": self.error_code, "errorMessage": body.error_message or details}
        ).encode()
