"""The history of one execution while it is under way, and what its failures come to."""

import math
from dataclasses import replace
from typing import NamedTuple

from asyncinvoke._clock import Clock
from asyncinvoke._engine.options import Call
from asyncinvoke._limits.scopes import FunctionKey, function_key
from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Attempt, Reply, Response
from asyncinvoke._retries.budget import Balance, RetryBudget
from asyncinvoke._retries.classify import Verdict, classify
from asyncinvoke._retries.decide import Retries, RetryAfter
from asyncinvoke._retries.raising import error_for, function_error_for
from asyncinvoke._statistics import Tally
from asyncinvoke.errors import DeadlineExceededError, FunctionError, GaveUp, InvocationError


class Failed(NamedTuple):
    """An attempt that got an error, no answer, or the answer that the function failed."""

    answer: Failure | Reply
    verdict: Verdict


class Executions:
    """Begins executions; keeps what each function has left of its retry budget."""

    def __init__(self, *, clock: Clock, tally: Tally) -> None:
        self._clock = clock
        self._tally = tally
        self._balances: dict[tuple[RetryBudget, FunctionKey], Balance] = {}

    def begin(self, call: Call) -> "Execution":
        """Begin the execution of a call."""
        key = function_key(call.parameters)
        self._tally.calls += 1
        return Execution(call, key, self._clock, self._balance(call, key))

    def _balance(self, call: Call, key: FunctionKey) -> Balance | None:
        budget = call.policy.budget
        if budget is None:
            return None
        balance = self._balances.get((budget, key))
        if balance is None:
            balance = Balance(budget, now=self._clock.monotonic())
            self._balances[budget, key] = balance
        balance.earn()
        return balance


class Execution:
    """One call on its way to a response or an error."""

    __slots__ = (
        "_attempt_began",
        "_attempt_started",
        "_balance",
        "_began",
        "_clock",
        "_last_error",
        "_retries",
        "attempts",
        "call",
        "deadline",
        "key",
    )

    def __init__(self, call: Call, key: FunctionKey, clock: Clock, balance: Balance | None) -> None:
        self.call = call
        self.attempts: list[Attempt] = []
        self._clock = clock
        self._balance = balance
        self._began = clock.monotonic()
        self.deadline = math.inf if call.timeout is None else self._began + call.timeout
        self.key = key
        self._attempt_began: float | None = None
        self._attempt_started = 0.0
        self._last_error: InvocationError | None = None
        self._retries: Retries | None = None

    def begin_attempt(self) -> None:
        """Note the time."""
        self._attempt_started = self._clock.time()
        self._attempt_began = self._clock.monotonic()

    def response(self, reply: Reply, attempts: tuple[Attempt, ...]) -> Response:
        """Return a reply to the caller."""
        return Response(
            status_code=reply.status_code,
            payload=reply.payload,
            executed_version=reply.executed_version,
            function_error=reply.function_error,
            log_result=reply.log_result,
            request_id=reply.request_id,
            durable_execution_arn=reply.durable_execution_arn,
            attempts=attempts,
            decode=self.call.decode,
        )

    def succeeded(self, reply: Reply) -> Response:
        """End with a reply."""
        attempt = Attempt(
            number=len(self.attempts) + 1,
            started=self._attempt_started,
            elapsed=self._end_attempt(),
            status_code=reply.status_code,
            request_id=reply.request_id,
        )
        return self.response(reply, (*self.attempts, attempt))

    def decide(self, verdict: Verdict, error: InvocationError) -> RetryAfter | GaveUp:
        """Say whether there is another attempt."""
        if self._retries is None:
            self._retries = Retries(
                self.call.policy,
                repeatable=self.call.repeatable,
                started=self._began,
                deadline=self.deadline,
                balance=self._balance,
            )
        return self._retries.decide(verdict, error, now=self._clock.monotonic())

    def failed(self, verdict: Verdict, error: InvocationError, *, delay: float | None) -> None:
        """Keep an attempt that failed."""
        self.attempts.append(
            Attempt(
                number=len(self.attempts) + 1,
                started=self._attempt_started,
                elapsed=self._end_attempt(),
                kind=verdict.kind,
                delivery=verdict.delivery,
                status_code=error.status_code,
                code=error.code,
                reason=verdict.reason,
                request_id=error.request_id,
                delay=delay,
            )
        )
        self._last_error = error

    def after_failure(self, failed: Failed) -> float | Response | InvocationError:
        """Return how long to wait before the next attempt, or what the execution came to."""
        error = self._error(failed)
        decision = self.decide(failed.verdict, error)
        if isinstance(decision, RetryAfter):
            self.failed(failed.verdict, error, delay=decision.delay)
            return decision.delay
        return self._end(failed, error, decision)

    def after_output(self, failed: Failed) -> Response | InvocationError:
        """Return what the execution came to after part of the answer was handed out."""
        return self._end(failed, self._error(failed), GaveUp.NOT_RETRYABLE)

    def _error(self, failed: Failed) -> InvocationError:
        answer, verdict = failed
        if isinstance(answer, Failure):
            return error_for(answer, verdict, self.call.parameters)
        return function_error_for(self.response(answer, ()), verdict, self.call.parameters)

    def _end(
        self, failed: Failed, error: InvocationError, gave_up: GaveUp
    ) -> Response | InvocationError:
        self.failed(failed.verdict, error, delay=None)
        if isinstance(failed.answer, Reply) and isinstance(error, FunctionError):
            error.response = self.response(failed.answer, tuple(self.attempts))
            if not self.call.raise_on_function_error:
                return error.response
        return self.close(error, gave_up)

    def close(self, error: InvocationError, gave_up: GaveUp) -> InvocationError:
        """Complete an error with what only the end of the execution knows."""
        error.attempts = tuple(self.attempts)
        error.delivery = Delivery.of_all(attempt.delivery for attempt in self.attempts)
        error.elapsed = self._clock.monotonic() - self._began
        error.gave_up = gave_up
        return error

    def deadline_exceeded(
        self, limited: str | None, *, delivery: Delivery = Delivery.UNKNOWN
    ) -> InvocationError:
        """Return the error for a timeout that passes in an attempt, or while waiting for one.

        Args:
            limited: What keeps permits back, if anything does.
            delivery: How far the attempt has come that it passes in.
        """
        target = self.call.parameters.target
        waiting = self._attempt_began is None
        error = DeadlineExceededError(
            f"timeout of {self.call.timeout:g} s passed while waiting for "
            + ("a permit or a backoff" if waiting else "the answer")
            + (f": {limited}" if waiting and limited else ""),
            function_name=target.function_name,
            qualifier=target.qualifier,
            delivery=Delivery.UNKNOWN,
        )
        if self._last_error is not None:
            error.__cause__ = self._last_error
            error.retry_after = self._last_error.retry_after
        if not waiting:
            verdict = classify(Failure(fault=TransportFault.INTERRUPTED), now=self._clock.time())
            verdict = replace(verdict, delivery=delivery)
            error.code = TransportFault.INTERRUPTED.value
            self.failed(verdict, error, delay=None)
        return self.close(error, GaveUp.DEADLINE)

    def _end_attempt(self) -> float:
        began, self._attempt_began = self._attempt_began, None
        return 0.0 if began is None else self._clock.monotonic() - began
