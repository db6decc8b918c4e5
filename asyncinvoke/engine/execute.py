"""One execution: permit, attempt, verdict, wait, and again, until a response or an error."""

import math
from collections.abc import Coroutine
from typing import Any, NamedTuple

import anyio

from asyncinvoke.engine.call import Call
from asyncinvoke.engine.clock import Clock
from asyncinvoke.engine.failures import error_for, function_error_for
from asyncinvoke.engine.limiter import Limiter
from asyncinvoke.engine.scopes import FunctionKey, function_key
from asyncinvoke.engine.tally import Tally
from asyncinvoke.errors import DeadlineExceededError, FunctionError, GaveUp, InvocationError
from asyncinvoke.model.attempt import Attempt
from asyncinvoke.model.delivery import Delivery
from asyncinvoke.model.failure import Failure, FailureKind, Fault
from asyncinvoke.model.response import Reply, Response
from asyncinvoke.policy.budget import Balance, RetryBudget
from asyncinvoke.policy.classify import Verdict, classify
from asyncinvoke.policy.decide import Retries, RetryAfter
from asyncinvoke.transport.base import Transport

_FUNCTION_FAILED = Verdict(kind=FailureKind.FUNCTION, delivery=Delivery.EXECUTED)


class Executor:
    """Executes calls over one transport, under one limiter."""

    def __init__(
        self, transport: Transport, *, limiter: Limiter, clock: Clock, tally: Tally
    ) -> None:
        self._transport = transport
        self._limiter = limiter
        self._clock = clock
        self._tally = tally
        self._balances: dict[tuple[RetryBudget, FunctionKey], Balance] = {}

    def execute(
        self, call: Call, payload: bytes
    ) -> Coroutine[Any, Any, Response | InvocationError]:
        """Execute a call; an error is returned, not raised. Only cancellation is raised."""
        key = function_key(call.envelope)
        execution = _Execution(call, key, self._clock, self._balance(call, key))
        self._tally.executions += 1
        if call.timeout is None:
            return self._attempt_until_done(execution, payload)
        return self._attempt_until_deadline(execution, payload, call.timeout)

    async def _attempt_until_deadline(
        self, execution: "_Execution", payload: bytes, timeout: float
    ) -> Response | InvocationError:
        with anyio.move_on_after(timeout):
            return await self._attempt_until_done(execution, payload)
        return execution.deadline_exceeded(self._limiter.describe(execution.key))

    async def _attempt_until_done(
        self, execution: "_Execution", payload: bytes
    ) -> Response | InvocationError:
        while True:
            if execution.deadline <= self._limiter.opens_at(execution.key):
                return execution.deadline_exceeded(self._limiter.describe(execution.key))
            answer = await self._attempt(execution, payload)
            if isinstance(answer, Reply) and answer.function_error is None:
                return execution.succeeded(answer)
            delay = self._after_failure(execution, answer)
            if not isinstance(delay, float):
                return delay
            await self._clock.sleep(delay)
            self._tally.retries += 1

    async def _attempt(self, execution: "_Execution", payload: bytes) -> "Reply | _Failed":
        permit = await self._limiter.acquire(execution.key)
        try:
            self._tally.attempts += 1
            execution.begin_attempt()
            answer = await self._transport.send(execution.call.envelope, payload)
        except BaseException:
            self._limiter.ignored(permit)
            raise
        if isinstance(answer, Reply):
            # A function that failed was admitted all the same.
            self._limiter.succeeded(permit)
            return answer
        verdict = classify(answer, now=self._clock.time())
        if verdict.reason is None:
            self._limiter.ignored(permit)
        else:
            self._tally.throttles[verdict.reason] += 1
            self._limiter.throttled(permit, verdict.reason)
        return _Failed(answer, verdict)

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

    def _after_failure(
        self, execution: "_Execution", answer: "Reply | _Failed"
    ) -> float | Response | InvocationError:
        """Return how long to wait before the next attempt, or what the execution came to."""
        if isinstance(answer, _Failed):
            verdict = answer.verdict
            error = error_for(answer.failure, verdict, execution.call.envelope)
        else:
            verdict = _FUNCTION_FAILED
            error = function_error_for(
                execution.response(answer, ()), verdict, execution.call.envelope
            )
        decision = execution.decide(verdict, error)
        if isinstance(decision, RetryAfter):
            execution.failed(verdict, error, delay=decision.delay)
            return decision.delay
        execution.failed(verdict, error, delay=None)
        if isinstance(answer, Reply) and isinstance(error, FunctionError):
            error.response = execution.response(answer, tuple(execution.attempts))
            if not execution.call.raise_on_function_error:
                return error.response
        return execution.close(error, decision)


class _Failed(NamedTuple):
    """An attempt that got an error, or no answer."""

    failure: Failure
    verdict: Verdict


class _Execution:
    """The history of one execution while it is under way."""

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
        self._attempt_started = self._clock.time()
        self._attempt_began = self._clock.monotonic()

    def response(self, reply: Reply, attempts: tuple[Attempt, ...]) -> Response:
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
        attempt = Attempt(
            number=len(self.attempts) + 1,
            started=self._attempt_started,
            elapsed=self._end_attempt(),
            status_code=reply.status_code,
            request_id=reply.request_id,
        )
        return self.response(reply, (*self.attempts, attempt))

    def decide(self, verdict: Verdict, error: InvocationError) -> RetryAfter | GaveUp:
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

    def close(self, error: InvocationError, gave_up: GaveUp) -> InvocationError:
        """Complete an error with what only the end of the execution knows."""
        error.attempts = tuple(self.attempts)
        error.delivery = Delivery.of_all(attempt.delivery for attempt in self.attempts)
        error.elapsed = self._clock.monotonic() - self._began
        error.gave_up = gave_up
        return error

    def deadline_exceeded(self, limited: str | None) -> InvocationError:
        """Give the error for a timeout that passes in an attempt, or while waiting for one.

        Args:
            limited: What keeps permits back, if anything does.
        """
        target = self.call.envelope.target
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
            verdict = classify(Failure(fault=Fault.INTERRUPTED), now=self._clock.time())
            error.code = Fault.INTERRUPTED.value
            self.failed(verdict, error, delay=None)
        return self.close(error, GaveUp.DEADLINE)

    def _end_attempt(self) -> float:
        began, self._attempt_began = self._attempt_began, None
        return 0.0 if began is None else self._clock.monotonic() - began
