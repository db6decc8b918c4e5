"""The history of an execution whose first attempt failed, and the decision after each failure."""

from collections import deque
from dataclasses import replace
from typing import Any

from asyncinvoke._engine.calls import Call
from asyncinvoke._limits.books import LimiterClosedError, PermitTimeoutError
from asyncinvoke._model.delivery import Delivery, Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Attempt, Reply, Response
from asyncinvoke._retries.classify import Verdict
from asyncinvoke._retries.decide import Retries
from asyncinvoke._retries.raising import error_for, function_error_for
from asyncinvoke.errors import (
    DeadlineExceededError,
    FunctionError,
    GaveUp,
    InvocationError,
    TransportError,
)

KEPT_ATTEMPTS = 32
"""How many of the first and of the last attempts of an execution are kept."""

_CLOSED = "the invoker's block was left"

_WAITED_FOR = {
    Phase.NOT_BEGUN: "the attempt to begin",
    Phase.CREDENTIALS: "credentials",
    Phase.CONNECTING: "a connection",
    Phase.CONNECTED: "the request to be written",
    Phase.WRITTEN_IN_PART: "the request to be written",
}
"""What a timeout interrupted, by phase; in later phases it was the response."""

ENDS = {TransportFault.INTERRUPTED: GaveUp.DEADLINE, TransportFault.CLOSED: GaveUp.CLOSED}
"""Faults that are not failures, and end the execution regardless of its policy."""


class History:
    """The attempts of one execution, and the decision after each failure.

    It uses no clock and does no I/O: the caller passes the start time and duration of each attempt.
    All times except `started` are on one monotonic clock.

    Args:
        call: The call.
        began: When the execution began.
        deadline: The deadline of the execution; `math.inf` for none.
    """

    __slots__ = (
        "_began",
        "_call",
        "_deliveries",
        "_first",
        "_last",
        "_last_error",
        "_outage_began",
        "_retries",
        "deadline",
        "number",
    )

    def __init__(self, call: Call, *, began: float, deadline: float) -> None:
        self._call = call
        self._began = began
        self.deadline: float = deadline
        self._first: list[Attempt] = []
        self._last: deque[Attempt] = deque(maxlen=KEPT_ATTEMPTS)
        self.number: int = 0
        """The number of completed attempts."""
        self._deliveries: set[Delivery] = set()
        self._last_error: InvocationError | None = None
        self._outage_began: float | None = None
        self._retries: Retries | None = None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The completed attempts; if there are very many, the first and the last ones."""
        omitted = self.number - len(self._first) - len(self._last)
        if not omitted:
            return (*self._first, *self._last)
        oldest, *rest = self._last
        return (*self._first, replace(oldest, omitted=omitted), *rest)

    @property
    def last(self) -> Attempt:
        """The most recent completed attempt; there must be one."""
        return self._last[-1] if self._last else self._first[-1]

    @property
    def surely_did_not_run(self) -> bool:
        """Whether it is certain that no attempt so far reached the function."""
        return not any(delivery.may_have_run for delivery in self._deliveries)

    def responded(
        self, reply: Reply, *, started: float, elapsed: float, waited: float
    ) -> Response[Any]:
        """End with a reply."""
        self._keep(
            status_code=reply.status_code,
            request_id=reply.request_id,
            started=started,
            elapsed=elapsed,
            waited=waited,
        )
        return self._call.response(reply, self.attempts)

    def failed(
        self,
        answer: Failure | Reply,
        verdict: Verdict,
        *,
        started: float,
        elapsed: float,
        waited: float,
        now: float,
        final: bool = False,
    ) -> float | Response[Any] | InvocationError:
        """Record a failed attempt.

        Args:
            answer: The result of the attempt; a reply is one with a function error.
            verdict: The meaning of the failure.
            started: When it began, in seconds since the epoch.
            elapsed: How long it took, in seconds.
            waited: How long it waited for its permit, in seconds.
            now: The current time.
            final: Whether it must not be retried, since part of the response was already yielded.

        Returns:
            The number of seconds to wait before the next attempt, or the result of the execution.
        """
        error = self._error(answer, verdict)
        self._outage_began = verdict.outage_began
        decision: float | GaveUp = GaveUp.NOT_RETRYABLE
        fault = answer.fault if isinstance(answer, Failure) else None
        try:
            if fault in ENDS:
                decision = ENDS[fault]
            elif not final:
                decision = self._decide(verdict, error, now)
        finally:  # the attempt has ended, even if the policy raises
            self._keep(
                kind=verdict.kind,
                delivery=verdict.delivery,
                status_code=error.status_code,
                code=error.code,
                reason=verdict.reason,
                request_id=error.request_id,
                started=started,
                elapsed=elapsed,
                waited=waited,
                delay=None if isinstance(decision, GaveUp) else decision,
            )
        if not isinstance(decision, GaveUp):
            self._last_error = error
            return decision
        if isinstance(answer, Reply) and isinstance(error, FunctionError):
            error.response = self._call.response(answer, self.attempts)
            if not self._call.raise_on_function_error:
                return error.response
        return self._end(error, decision, now)

    def without_permit(
        self, refused: PermitTimeoutError | LimiterClosedError, *, now: float
    ) -> InvocationError:
        """Return the error for a timeout, or a closed invoker, between two attempts."""
        if isinstance(refused, LimiterClosedError):
            facts: dict[str, Any] = {
                "code": TransportFault.CLOSED.value,
                "delivery": Delivery.NOT_SENT,
            }
            return self._end(TransportError(_CLOSED, **facts, **self._whom()), GaveUp.CLOSED, now)
        waiting_for = "a permit" + (f": {refused.limited}" if refused.limited else "")
        error = DeadlineExceededError(
            self._timed_out(waiting_for), delivery=Delivery.NOT_SENT, **self._whom()
        )
        return self._end(error, GaveUp.DEADLINE, now)

    def stopped(self, *, now: float) -> InvocationError:
        """Return the error for a map stopped between two attempts: that of the last attempt."""
        assert self._last_error is not None  # noqa: S101  # an attempt has failed, and may have run
        return self._end(self._last_error, GaveUp.STOPPED, now)

    def _decide(self, verdict: Verdict, error: InvocationError, now: float) -> float | GaveUp:
        if self._retries is None:
            self._retries = Retries(
                self._call.policy,
                repeatable=self._call.repeatable,
                deadline=self.deadline,
                balance=self._call.balance,
            )
        try:
            return self._retries.decide(verdict, error, now=now)
        except Exception as broken:
            # The caller's own policy raised; do not lose the error it was called for.
            broken.add_note(f"asyncinvoke: the retry policy raised this, asked about: {error}")
            raise

    def _error(self, answer: Failure | Reply, verdict: Verdict) -> InvocationError:
        if isinstance(answer, Reply):
            return function_error_for(
                self._call.response(answer, ()), verdict, self._call.parameters.target
            )
        if answer.fault not in ENDS:
            return error_for(answer, verdict, self._call.parameters.target)
        facts = {"code": answer.fault, "delivery": verdict.delivery, **self._whom()}
        if answer.fault is TransportFault.CLOSED:
            return TransportError(_CLOSED, **facts)
        waiting_for = _WAITED_FOR.get(answer.phase, "the answer")
        return DeadlineExceededError(self._timed_out(waiting_for), **facts)

    def _end(self, error: InvocationError, gave_up: GaveUp, now: float) -> InvocationError:
        # An error created here, for a timeout or a closed invoker, is chained to the failure before
        # it. An error from a response, which ends the execution because its wait would be too long,
        # keeps its own cause and `retry_after`.
        is_ours = isinstance(error, DeadlineExceededError) or gave_up is GaveUp.CLOSED
        if is_ours and self._last_error is not None:
            error.__cause__ = self._last_error
            error.retry_after = self._last_error.retry_after
        return error._complete(  # noqa: SLF001  # the one place that ends an execution
            attempts=self.attempts,
            delivery=Delivery.of_all(self._deliveries),
            elapsed=now - self._began,
            gave_up=gave_up,
            outage=0.0 if self._outage_began is None else now - self._outage_began,
        )

    def _keep(self, *, delivery: Delivery | None = None, **facts: Any) -> None:
        self.number += 1
        if delivery is not None:
            self._deliveries.add(delivery)
        kept = self._first if len(self._first) < KEPT_ATTEMPTS else self._last
        kept.append(Attempt(number=self.number, delivery=delivery, **facts))

    def _timed_out(self, waiting_for: str) -> str:
        return f"timeout of {self._call.timeout:g} s passed while waiting for {waiting_for}"

    def _whom(self) -> dict[str, Any]:
        target = self._call.parameters.target
        return {"function_name": target.function_name, "qualifier": target.qualifier}
