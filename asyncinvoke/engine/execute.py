"""One execution: permit, attempt, verdict, wait, and again, until a response or an error."""

from collections.abc import Coroutine
from typing import Any

import anyio

from asyncinvoke.engine.call import Call
from asyncinvoke.engine.clock import Clock
from asyncinvoke.engine.execution import Execution, Executions, Failed
from asyncinvoke.engine.limiter import Limiter
from asyncinvoke.engine.tally import Tally
from asyncinvoke.errors import InvocationError
from asyncinvoke.model.response import Reply, Response
from asyncinvoke.policy.classify import classify
from asyncinvoke.transport.base import Transport


class Executor:
    """Executes calls over one transport, under one limiter."""

    def __init__(
        self, transport: Transport, *, limiter: Limiter, clock: Clock, tally: Tally
    ) -> None:
        self._transport = transport
        self._limiter = limiter
        self._clock = clock
        self._tally = tally
        self._executions = Executions(clock=clock, tally=tally)

    def execute(
        self, call: Call, payload: bytes
    ) -> Coroutine[Any, Any, Response | InvocationError]:
        """Execute a call; an error is returned, not raised. Only cancellation is raised."""
        execution = self._executions.begin(call)
        if call.timeout is None:
            return self._attempt_until_done(execution, payload)
        return self._attempt_until_deadline(execution, payload, call.timeout)

    async def _attempt_until_deadline(
        self, execution: Execution, payload: bytes, timeout: float
    ) -> Response | InvocationError:
        with anyio.move_on_after(timeout):
            return await self._attempt_until_done(execution, payload)
        return execution.deadline_exceeded(self._limiter.describe(execution.key))

    async def _attempt_until_done(
        self, execution: Execution, payload: bytes
    ) -> Response | InvocationError:
        while True:
            if execution.deadline <= self._limiter.opens_at(execution.key):
                return execution.deadline_exceeded(self._limiter.describe(execution.key))
            answer = await self._attempt(execution, payload)
            if isinstance(answer, Reply) and answer.function_error is None:
                return execution.succeeded(answer)
            delay = execution.after_failure(answer)
            if not isinstance(delay, float):
                return delay
            await self._clock.sleep(delay)
            self._tally.retries += 1

    async def _attempt(self, execution: Execution, payload: bytes) -> Reply | Failed:
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
        return Failed(answer, verdict)
