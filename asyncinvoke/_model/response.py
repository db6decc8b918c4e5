"""What Lambda answered: the reply to one attempt, and the response of an execution."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
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
"""A line that Lambda appends to a function's log."""


Decode: TypeAlias = Callable[[bytes], Any]
"""Converts the returned bytes to the value of `Response.json()`."""


def decode_json(payload: bytes) -> Any:
    """Decode JSON; an empty payload, such as that of an Event invocation, is `None`.

    Raises:
        ValueError: It is not JSON, or nested too deeply. Neither the error nor its traceback holds
            the payload, so the `doc` of a `JSONDecodeError` is empty.
    """
    try:
        return json.loads(payload) if payload else None
    except json.JSONDecodeError as error:
        error.doc = ""
        broken: BaseException = error
    except UnicodeDecodeError as error:
        broken = ValueError(str(error))  # its `object` is the payload
    except RecursionError:
        broken = ValueError("the payload is nested too deeply to be read")
    except BaseException as error:  # noqa: BLE001  # an interrupt: raised below, without json's frames
        broken = error
    del payload
    raise broken.with_traceback(None) from None


def decode_log_result(log_result: str | None) -> str | None:
    """Decode the base64 log tail; a truncated first character is replaced."""
    if log_result is None:
        return None
    try:
        return base64.b64decode(log_result).decode(errors="replace")
    except ValueError:
        return log_result


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[_T]) -> type[_T]:
    """Create a slotted dataclass that is frozen for type checkers only.

    A dataclass that is frozen at run time takes several times as long to create, since each field
    is set through `object.__setattr__` (nine fields: 960 ns instead of 131 to 364). Every invocation
    creates three of these values, and an item of a map four. For the same reason these are created by
    position where a call succeeds at once, and have the fields first that are set then: keywords take
    twice as long. Do not use it for anything else.
    """
    made = dataclass(slots=True, unsafe_hash=True)(cls)
    # Pickle's protocols 0 and 1 refuse slots, unless a class has a method of its own for them.
    made.__getstate__ = _state  # type: ignore[assignment, method-assign]
    return made


def _state(made: object) -> object:
    return object.__getstate__(made)


@value
class Attempt:
    """One attempt: when it started, how long it took, and how it ended. Never holds the payload."""

    number: int
    """The number of the attempt within its execution, from 1; that of the last is the total."""

    started: float
    """When it began, in seconds since the epoch."""

    elapsed: float
    """How long it took, in seconds, excluding the wait for a permit."""

    waited: float = 0.0
    """How long it waited for a permit, in seconds."""

    status_code: int | None = None
    """The HTTP status, if there was a response."""

    request_id: str | None = None
    """The AWS request ID, if there was a response."""

    kind: FailureKind | None = None
    """The kind of failure; `None` if it succeeded."""

    delivery: Delivery | None = None
    """How far the request got, if it failed; `None` if it succeeded."""

    code: str | None = None
    """The AWS error code, or a transport fault such as `ReadTimeout`; `None` if it succeeded."""

    reason: ThrottleReason | None = None
    """Why it was throttled, if it was."""

    delay: float | None = None
    """The backoff before the next attempt, in seconds; `None` if this was the last."""

    omitted: int = 0
    """The number of attempts omitted before this one; long histories keep the first and last."""


@value
class Reply:
    """The response to one attempt that reached the function, as read by the transport."""

    status_code: int
    """200, 202 for Event, 204 for DryRun."""

    payload: bytes = field(repr=False)
    """The response body."""

    executed_version: str | None = None
    """The version that ran; absent for Event and DryRun."""

    request_id: str | None = None
    """The AWS request ID, available to the function as `aws_request_id`."""

    function_error: str | None = None
    """`Unhandled` or another value if the function failed."""

    log_result: str | None = field(default=None, repr=False)
    """The log tail, decoded."""

    durable_execution_arn: str | None = None
    """The ARN of the durable execution, if there is one."""


@value
class Response(Generic[Out]):
    """The result of an execution. Its `repr` shows neither the payload nor the log."""

    status_code: int
    """200; 202 for Event: accepted, not yet run; 204 for DryRun."""

    payload: bytes = field(repr=False)
    """What the function returned, as bytes."""

    executed_version: str | None = None
    """The version that ran; absent for Event and DryRun."""

    request_id: str | None = None
    """The AWS request ID of the last attempt, available to the function as `aws_request_id`."""

    function_error: str | None = None
    """`Unhandled` or another value, if the function failed and `raise_on_function_error` is off."""

    log_result: str | None = field(default=None, repr=False)
    """The last 4,096 bytes of the log as text, if `log_type` was `Tail`."""

    durable_execution_arn: str | None = None
    """The ARN of the durable execution, if there is one."""

    attempts: tuple[Attempt, ...] = ()
    """All attempts, including the last."""

    decode: Decode = field(default=decode_json, repr=False, compare=False)
    """The codec used by `json()`. Pickling drops it, since it may be any function: JSON is the codec
    of a response that was pickled."""

    @property
    def elapsed(self) -> float:
        """How long the execution took, in seconds, including waits and retries."""
        if not self.attempts:
            return 0.0
        first, last = self.attempts[0], self.attempts[-1]
        # Both are wall-clock times, and the clock may be adjusted between two attempts.
        return max(last.started - first.started, 0.0) + first.waited + last.elapsed

    @property
    def text(self) -> str:
        """The payload decoded as UTF-8; invalid bytes are replaced."""
        return self.payload.decode(errors="replace")

    @property
    def billed_duration(self) -> float | None:
        """The billed duration in seconds, from the log; `None` without `log_type="Tail"`."""
        # The last match is Lambda's: the function itself may have logged such a line earlier.
        durations = _BILLED.findall(self.log_result or "")
        return int(durations[-1]) / 1000 if durations else None

    def json(self) -> Out:
        """Decode the payload.

        Returns:
            The decoded payload; `None` if it is empty, as for Event and DryRun. The payload of a
            function error is always decoded as JSON, regardless of the codec.

        Raises:
            ValueError: The payload is not JSON, or nested too deeply. A custom `decode` may raise
                other exceptions.
        """
        decoded: Out = (
            self.decode(self.payload)
            if self.payload and self.function_error is None
            # A custom codec handles neither empty payloads nor function errors.
            else decode_json(self.payload)
        )
        return decoded

    def __copy__(self) -> "Response[Out]":
        return replace(self)  # with its codec, unlike `__reduce__`

    def __deepcopy__(self, memo: object) -> "Response[Out]":
        return replace(self)  # nothing in it can change

    def __reduce__(self) -> tuple[Callable[..., "Response[Any]"], tuple[dict[str, object]]]:
        # A custom codec may be a lambda, but errors that hold a response must be picklable.
        state = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "decode"}
        return _restore, (state,)


def _restore(state: dict[str, Any]) -> Response[Any]:
    return Response(**state)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHead:
    """The head of a streamed response."""

    status_code: int
    """The HTTP status."""

    executed_version: str | None = None
    """The version that is running."""

    request_id: str | None = None
    """The AWS request ID, available to the function as `aws_request_id`."""

    content_type: str | None = None
    """The `Content-Type` of the response, which is that of the frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnd:
    """`InvokeComplete`: the function returned or failed."""

    error_code: str | None = None
    """`Unhandled` or another value if the function failed."""

    error_details: str | None = field(default=None, repr=False)
    """The details of the error."""

    log_result: str | None = field(default=None, repr=False)
    """The log tail, decoded."""

    def reply(self, head: StreamHead) -> Reply:
        """Return the equivalent reply of an invocation without streaming."""
        return Reply(
            status_code=head.status_code,
            payload=self._payload(),
            executed_version=head.executed_version,
            function_error=self.error_code,
            log_result=self.log_result,
            request_id=head.request_id,
        )

    def _payload(self) -> bytes:
        """Return the body of the function error: the details, if they are a valid one."""
        if self.error_code is None:
            return b""
        details = self.error_details or ""
        body = parse_error_body(details.encode())
        if body.error_type is not None:
            return details.encode()
        return json.dumps(
            {"errorType": self.error_code, "errorMessage": body.error_message or details}
        ).encode()
