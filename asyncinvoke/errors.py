"""The exceptions, each named for what a caller can do about it.

AsyncInvokeError
|- ConfigurationError (ValueError)     the invoker is misconfigured or misused
|- InvalidRequestError (ValueError)    nothing was sent: a value violates one of Lambda's rules
|- JournalError                        the journal of a run is unusable
|  `- JournalMismatchError (ValueError)   it belongs to another input or function: .differences
|- ToleranceExceededError              too many items failed, or no call can succeed
`- InvocationError                     one execution failed
   |- ThrottledError                   a limit was reached: .reason and .scope say which
   |- FunctionError                    the function ran and failed: .error_type, .error_message
   |- NotReadyError                    the function cannot run yet
   |- RejectedError                    permanently rejected: not found, access denied, ...
   |- ServiceError                     Lambda itself failed
   |- TransportError                   no usable response
   `- DeadlineExceededError (TimeoutError)   the total timeout expired
"""

from enum import StrEnum
from typing import Any, Self

from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import Cause, ThrottleReason, ThrottleScope
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._model.text import in_one_line

__all__ = [
    "AsyncInvokeError",
    "ConfigurationError",
    "DeadlineExceededError",
    "FunctionError",
    "GaveUp",
    "InvalidRequestError",
    "InvocationError",
    "JournalError",
    "JournalMismatchError",
    "NotReadyError",
    "RejectedError",
    "ServiceError",
    "ThrottledError",
    "ToleranceExceededError",
    "TransportError",
]


class GaveUp(StrEnum):
    """Why an execution was not retried."""

    NOT_RETRYABLE = "not_retryable"
    """A retry would not help, or the policy has no backoff for this kind of failure."""

    ATTEMPTS = "attempts"
    """The policy's stop strategy ended the retries."""

    DEADLINE = "deadline"
    """The next wait would have exceeded the deadline, or the deadline passed."""

    BUDGET = "budget"
    """The function's retry budget is exhausted."""

    DELIVERY_UNKNOWN = "delivery_unknown"
    """The function may have run, and the call is not idempotent."""

    CLOSED = "closed"
    """The invoker's block was left."""

    STOPPED = "stopped"
    """The map was stopped before the next attempt."""


class AsyncInvokeError(Exception):
    """Base class of every error raised by this library."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions unpickle by calling the class with `args`, but ours take keyword arguments.
        return _restore, (type(self), self.args, self.__dict__)

    @classmethod
    def _restored(cls, args: tuple[Any, ...], state: dict[str, Any]) -> Self:
        error = cls.__new__(cls)
        error.args = args
        error.__dict__.update(state)
        return error


def _restore(
    cls: type[AsyncInvokeError], args: tuple[Any, ...], state: dict[str, Any]
) -> AsyncInvokeError:
    return cls._restored(args, state)


class ConfigurationError(AsyncInvokeError, ValueError):
    """The invoker is misconfigured or misused; the message says what to change."""


class InvalidRequestError(AsyncInvokeError, ValueError):
    """A value violates one of Lambda's rules, and nothing was sent; the message names both."""


class JournalError(AsyncInvokeError):
    """The journal of a run is unusable; the message names the file and the reason.

    If it is raised when entering the block of a map, nothing was sent. If it is raised while
    iterating, the journal could no longer be written: the calls in flight have completed and their
    outcomes were delivered. Outcomes that could not be recorded are treated as "may have run" when
    the run is continued.
    """


class JournalMismatchError(JournalError, ValueError):
    """The journal belongs to another input, function or option.

    Attributes:
        differences: A description of each difference, such as `item 17 is not what it was`; if
            there are very many, the first ones and the number of the others.
    """

    def __init__(self, message: str, *, differences: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.differences = differences


class ToleranceExceededError(AsyncInvokeError):
    """A map was stopped: too many items failed, all calls were refused, or nothing could be sent.

    The message names the causes. Items without an outcome did not run, and can be run once the
    cause is fixed.

    Attributes:
        failed: The number of failed items when the map was stopped.
        ended: The number of completed items at that time, including the failed ones.
        causes: The causes of the failures, most frequent first, each with an example.
    """

    def __init__(
        self, message: str, *, failed: int = 0, ended: int = 0, causes: tuple[Cause, ...] = ()
    ) -> None:
        super().__init__(message)
        self.failed = failed
        self.ended = ended
        self.causes = causes


class InvocationError(AsyncInvokeError):
    """One execution failed. `str()` gives the reason, the number of attempts, and why it gave up.

    Attributes:
        message: The error message of the service or the transport.
        function_name: The function, as sent.
        qualifier: The version or alias, if one was given.
        request_id: The AWS request ID of the last attempt, if there was a response.
        status_code: The HTTP status of the last response, if there was one.
        code: The AWS error code, such as `TooManyRequestsException`, or a transport fault, such as
            `ReadTimeout`.
        delivery: The furthest state any attempt reached: whether the function may have run.
        retry_after: The delay the service asked for, in seconds, if it did.
        attempts: All attempts, including the last; if there were more than 64, only the first and
            the last 32. The `number` of the last is the total.
        elapsed: How long the execution took, including waits, in seconds.
        gave_up: Why it was not retried; `None` while another attempt may follow.
    """

    # For how long nothing could be sent when the execution gave up, in seconds; for the engine.
    _outage: float = 0.0

    def __init__(
        self,
        message: str,
        *,
        function_name: str,
        delivery: Delivery,
        qualifier: str | None = None,
        request_id: str | None = None,
        status_code: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        attempts: tuple[Attempt, ...] = (),
        elapsed: float = 0.0,
        gave_up: GaveUp | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.function_name = function_name
        self.qualifier = qualifier
        self.request_id = request_id
        self.status_code = status_code
        self.code = code
        self.delivery: Delivery = delivery
        self.retry_after = retry_after
        self.attempts: tuple[Attempt, ...] = attempts
        self.elapsed: float = elapsed
        self.gave_up = gave_up

    def _complete(
        self,
        *,
        attempts: tuple[Attempt, ...],
        delivery: Delivery,
        elapsed: float,
        gave_up: GaveUp,
        outage: float,
    ) -> Self:
        """Fill in what is known only when the execution ends."""
        self.attempts = attempts
        self.delivery = delivery
        self.elapsed = elapsed
        self.gave_up = gave_up
        if outage:
            self._outage = outage
        return self

    def __str__(self) -> str:
        name = self.function_name
        if self.qualifier is not None:
            name = f"{name}:{self.qualifier}"
        label, message = in_one_line(self._label(), 100), in_one_line(self.message, 320)
        what = ": ".join(part for part in (name, label, message) if part)
        return f"{what} ({', '.join(self._history())})"

    def _label(self) -> str:
        return self.code or type(self).__name__

    def _history(self) -> list[str]:
        count = self.attempts[-1].number if self.attempts else 0
        history = [f"{count} attempt{'' if count == 1 else 's'} in {self.elapsed:.2f} s"]
        if self.gave_up is not None:
            history.append(_WHY[self.gave_up])
            if self.delivery is Delivery.UNKNOWN and self.gave_up != GaveUp.DELIVERY_UNKNOWN:
                history.append("the function may have run")
        if self.retry_after is not None:
            history.append(f"retry after {self.retry_after:g} s")
        if self.request_id is not None:
            history.append(f"request id {in_one_line(self.request_id, 100)}")
        return history


_WHY = {
    GaveUp.NOT_RETRYABLE: "not retryable",
    GaveUp.ATTEMPTS: "no attempts left",
    GaveUp.DEADLINE: "no time left",
    GaveUp.BUDGET: "the retry budget is used up",
    GaveUp.DELIVERY_UNKNOWN: "not repeated: the function may have run",
    GaveUp.CLOSED: "the invoker was closed",
    GaveUp.STOPPED: "the map was stopped",
}


class ThrottledError(InvocationError):
    """A limit was reached, and the last attempt did not run the function.

    Attributes:
        reason: The reason given by Lambda; `ThrottleReason.UNKNOWN` if it gave none.
        scope: What the limit applies to, and therefore what has to slow down.
    """

    def __init__(
        self, message: str, *, reason: ThrottleReason, scope: ThrottleScope, **facts: Any
    ) -> None:
        super().__init__(message, **facts)
        self.reason = reason
        self.scope = scope

    def _label(self) -> str:
        code = super()._label()
        return code if self.reason is ThrottleReason.UNKNOWN else f"{code} ({self.reason})"


class FunctionError(InvocationError):
    """The function ran and failed.

    Attributes:
        function_error: The value reported by Lambda, currently `Unhandled`.
        error_type: The exception's name, or the platform's error type, such as `Sandbox.Timedout`;
            `None` if not reported.
        error_message: The exception's message; `None` if not reported.
        stack_trace: One entry per frame, as formatted by the runtime, or `path:line name` if the
            runtime reports structured frames, as Go does.
        by_platform: Whether the platform terminated the function or could not start it: it timed
            out, its process exited or was killed, it ran out of memory, or its response was too
            large. `False` if the function's own code raised or could not be loaded.
        response: The complete response, including payload and log tail.
    """

    def __init__(
        self,
        message: str,
        *,
        function_error: str,
        error_type: str | None,
        error_message: str | None,
        stack_trace: tuple[str, ...],
        response: Response,
        by_platform: bool = False,
        **facts: Any,
    ) -> None:
        super().__init__(message, **facts)
        self.function_error = function_error
        self.error_type = error_type
        self.error_message = error_message
        self.stack_trace = stack_trace
        self.by_platform = by_platform
        self.response = response

    def _label(self) -> str:
        return self.error_type or f"function error {self.function_error}"


class NotReadyError(InvocationError):
    """The function cannot run yet: it is being created, updated, restored or connected."""


class RejectedError(InvocationError):
    """The request was permanently rejected; sending it again will not help."""


class ServiceError(InvocationError):
    """Lambda itself failed; after a 5xx response the function may have run."""


class TransportError(InvocationError):
    """There was no usable response; `code` and `delivery` say how far the request got."""


class DeadlineExceededError(InvocationError, TimeoutError):
    """The total timeout expired while waiting for a permit, a response or a backoff."""
