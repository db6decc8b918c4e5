"""What Lambda answered: one attempt's reply, and the response of a whole execution."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from asyncinvoke.model.attempt import Attempt
from asyncinvoke.model.codec import Decode, decode_json


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What an execution came to. Neither payload nor log shows in its `repr`."""

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

    def json(self) -> Any:
        """Decode the payload.

        Returns:
            What the payload holds; `None` for an empty one, as of Event and DryRun.

        Raises:
            ValueError: The payload is not JSON (or what the invoker's own `decode` raises).
        """
        return self.decode(self.payload)

    def __reduce__(self) -> tuple[Callable[..., "Response"], tuple[dict[str, object]]]:
        # A caller's own codec may be a lambda, and errors that hold a response must pickle.
        state = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "decode"}
        return _restore, (state,)


def _restore(state: dict[str, Any]) -> Response:
    return Response(**state)
