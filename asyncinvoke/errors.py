"""The exceptions, each named for what a caller can do about it.

AsyncInvokeError
|- ConfigurationError (ValueError)     the invoker cannot be built, or used, like this
|- InvalidRequestError (ValueError)    nothing was sent: a value breaks one of Lambda's rules
|- JournalError                        the journal of a run is unusable
|  `- JournalMismatchError (ValueError)   it belongs to another input or function: .differences
|- ToleranceExceededError              more failed than was tolerated, or all for one reason
`- InvocationError                     one execution failed
   |- ThrottledError                   a limit was reached: .reason and .scope say which
   |- FunctionError                    the function ran and failed: .error_type, .error_message
   |- NotReadyError                    the function cannot run yet
   |- RejectedError                    refused for good: not found, access denied, ...
   |- ServiceError                     Lambda itself failed
   |- TransportError                   no usable answer
   `- DeadlineExceededError (TimeoutError)   the total timeout passed
"""

from enum import StrEnum
from typing import Any, Self

from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import Cause, ThrottleReason, ThrottleScope
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._model.text import in_one_line


class GaveUp(StrEnum):
    """Why an execution was not tried again."""

    NOT_RETRYABLE = "not_retryable"
    """Trying again would not help, or the policy has no backoff for this kind of failure."""

    ATTEMPTS = "attempts"
    """The policy's stop strategy said so."""

    DEADLINE = "deadline"
    """The next wait would have crossed the deadline, or the deadline passed."""

    BUDGET = "budget"
    """The function's retry budget is used up."""

    DELIVERY_UNKNOWN = "delivery_unknown"
    """The function may have run, and the call is not idempotent."""

    CLOSED = "closed"
    """The invoker's block was left."""

    STOPPED = "stopped"
    """The map was stopped before it could be tried again."""


class AsyncInvokeError(Exception):
    """Base of every error that this library raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions pickle by calling the class with `args`; ours take keywords.
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
    """The invoker cannot be built, or used, like this; the message says what to change."""


class InvalidRequestError(AsyncInvokeError, ValueError):
    """Nothing was sent, since a value breaks one of Lambda's rules; the message names both."""


class JournalError(AsyncInvokeError):
    """The journal of a run is unusable; the message names the file and says why.

    If entering the block of a map raises it, nothing was sent. If iterating raises it, the journal
    could no longer be written: calls in flight have ended and their outcomes were handed out, and
    those that could not be recorded count as ones that may have run when the run is continued.
    """


class JournalMismatchError(JournalError, ValueError):
    """The journal belongs to another input, function or option.

    Attributes:
        differences: Each of them in words, such as `item 17 is not what it was`; of very many
            items the first ones, and how many more there are.
    """

    def __init__(self, message: str, *, differences: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.differences = differences


class ToleranceExceededError(AsyncInvokeError):
    """A map was stopped: more failed than was tolerated, or every call was refused for one reason.

    The text names the causes. Items without an outcome were not sent, and can be run once the cause
    is corrected.

    Attributes:
        failed: How many items had failed when it was decided.
        ended: How many had ended, the failed ones included.
        causes: What they failed for, the most frequent first, each with an example.
    """

    def __init__(
        self, message: str, *, failed: int = 0, ended: int = 0, causes: tuple[Cause, ...] = ()
    ) -> None:
        super().__init__(message)
        self.failed = failed
        self.ended = ended
        self.causes = causes


class InvocationError(AsyncInvokeError):
    """One execution failed. `str()` says why, how often it was tried, and why not again.

    Attributes:
        message: What went wrong, in the service's or the transport's words.
        function_name: The function, as it was sent.
        qualifier: The version or alias, if one was given.
        request_id: AWS's id of the last request, if there was an answer.
        status_code: The HTTP status of the last answer, if there was one.
        code: AWS's error code, such as `TooManyRequestsException`, or a transport fault, such as
            `ReadTimeout`.
        delivery: The furthest that any attempt got: whether the function may have run.
        retry_after: How long the service asked to wait, in seconds, if it did.
        attempts: Every try, the last one included; of more than 64 the first and the last 32. The
            number of the last is how many there were.
        elapsed: How long the execution took, waits included, in seconds.
        gave_up: Why it was not tried again; `None` while an attempt may still follow.
    """

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
    ) -> Self:
        """Add what only the end of the execution knows."""
        self.attempts = attempts
        self.delivery = delivery
        self.elapsed = elapsed
        self.gave_up = gave_up
        return self

    def __str__(self) -> str:
        name = self.function_name
        if self.qualifier is not None:
            name = f"{name}:{self.qualifier}"
        label, message = in_one_line(self._label(), 100), in_one_line(self.message, 320)
        what = ": ".join(part for part in (label, message) if part)
        return f"{name}: {what} ({', '.join(self._history())})"

    def _label(self) -> str:
        return self.code or type(self).__name__

    def _history(self) -> list[str]:
        count = self.attempts[-1].number if self.attempts else 0
        history = [f"{count} attempt{'' if count == 1 else 's'} in {self.elapsed:.2f} s"]
        if self.gave_up is not None:
            history.append(_WHY[self.gave_up])
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
    """A limit was reached, and the function did not run.

    Attributes:
        reason: Lambda's word for the limit; `ThrottleReason.UNKNOWN` if it gave none.
        scope: What the limit applies to, and so what has to slow down.
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
        function_error: Lambda's word for it, `Unhandled` today.
        error_type: The exception's name, or the platform's, such as `Sandbox.Timedout`; `None`
            if the function did not say.
        error_message: The exception's text; `None` if the function did not say.
        stack_trace: One entry for each frame: as the runtime wrote it, or `path:line name` where it
            wrote parts, as Go does.
        by_platform: Whether the platform ended the function or could not start it: it ran too long,
            its process exited or was killed, it used up its memory, its answer was too large.
            `False` where the function's own code raised, or cannot be loaded.
        response: The whole answer, payload and log tail included.
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
    """The request was refused for good; the same request will be refused again."""


class ServiceError(InvocationError):
    """Lambda itself failed; after a 5xx the function may have run."""


class TransportError(InvocationError):
    """There was no usable answer; `code` and `delivery` tell how far the request got."""


class DeadlineExceededError(InvocationError, TimeoutError):
    """The total timeout passed while waiting for a permit, an answer or a backoff."""
