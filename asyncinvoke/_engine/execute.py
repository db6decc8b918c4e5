"""One execution: attempt, verdict, wait, and again, until there is a result or an error."""

from collections.abc import Coroutine
from typing import Any, Generic, Protocol, TypeVar

import anyio

from asyncinvoke._engine.attempt import Permits
from asyncinvoke._engine.execution import Execution, Executions, Failed
from asyncinvoke._engine.options import Call
from asyncinvoke._limits.scopes import PermitTimeoutError
from asyncinvoke._model.response import Response
from asyncinvoke.errors import InvocationError

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Attempt(Protocol[T_co]):
    """One try, from the permit to a result or a failure."""

    async def __call__(self, execution: Execution, payload: bytes) -> T_co | Failed:
        """Make an attempt; only cancellation is raised."""
        ...


class Executor(Generic[T]):
    """Executes calls by one kind of attempt."""

    def __init__(self, attempt: Attempt[T], permits: Permits, executions: Executions) -> None:
        self._attempt = attempt
        self._limiter = permits.limiter
        self._clock = permits.clock
        self._tally = permits.tally
        self._executions = executions

    def execute(
        self, call: Call, payload: bytes
    ) -> Coroutine[Any, Any, T | Response | InvocationError]:
        """Execute a call; an error is returned, not raised. Only cancellation is raised.

        A `Response` is what a function that failed gives where the caller asked not to raise.
        """
        execution = self._executions.begin(call)
        if call.timeout is None:
            return self._attempt_until_done(execution, payload)
        return self._attempt_until_deadline(execution, payload, call.timeout)

    async def _attempt_until_deadline(
        self, execution: Execution, payload: bytes, timeout: float
    ) -> T | Response | InvocationError:
        with anyio.move_on_after(timeout):
            return await self._attempt_until_done(execution, payload)
        return execution.deadline_exceeded(self._limiter.describe(execution.key))

    async def _attempt_until_done(
        self, execution: Execution, payload: bytes
    ) -> T | Response | InvocationError:
        while True:
            try:
                result = await self._attempt(execution, payload)
            except PermitTimeoutError as error:
                return execution.deadline_exceeded(error.limited)
            if not isinstance(result, Failed):
                return result
            delay = execution.after_failure(result)
            if not isinstance(delay, float):
                return delay
            await self._clock.sleep(delay)
            self._tally.retries += 1
