"""Attempts: a permit, one delivery, and what a failure of it says."""

from typing import NamedTuple

from asyncinvoke._clock import Clock
from asyncinvoke._engine.execution import Execution, Failed
from asyncinvoke._limits.limiter import Limiter
from asyncinvoke._limits.permit import Permit
from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Response
from asyncinvoke._retries.classify import FUNCTION_FAILED, classify
from asyncinvoke._statistics import Tally
from asyncinvoke._transport.base import Transport


class Permits(NamedTuple):
    """Where attempts get their permits, and where it is told how they fared."""

    limiter: Limiter
    clock: Clock
    tally: Tally

    def permit(self, execution: Execution) -> Permit:
        """Return the permit for an attempt, to be entered."""
        return self.limiter.permit(execution.key, deadline=execution.deadline)

    def begin(self, execution: Execution) -> None:
        """Count an attempt that has its permit."""
        self.tally.attempts += 1
        execution.begin_attempt()

    def failed(self, permit: Permit, failure: Failure) -> Failed:
        """End the permit of an attempt that got an error, or no answer."""
        verdict = classify(failure, now=self.clock.time())
        if verdict.reason is None:
            permit.ignored()
        else:
            self.tally.throttles[verdict.reason] += 1
            permit.throttled(verdict.reason)
        return Failed(failure, verdict)


class InvokeAttempt:
    """One attempt whose answer is read as a whole."""

    def __init__(self, transport: Transport, permits: Permits) -> None:
        self._transport = transport
        self._permits = permits

    async def __call__(self, execution: Execution, payload: bytes) -> Response | Failed:
        """Make an attempt; only cancellation is raised."""
        async with self._permits.permit(execution) as permit:
            self._permits.begin(execution)
            answer = await self._transport.send(execution.call.parameters, payload, Progress())
            if isinstance(answer, Failure):
                return self._permits.failed(permit, answer)
            # A function that failed was admitted all the same.
            permit.admitted()
        if answer.function_error is not None:
            return Failed(answer, FUNCTION_FAILED)
        return execution.succeeded(answer)
