"""What hooks are told of one execution; made only where there are hooks."""

from typing import Any

from asyncinvoke._clock import Clock
from asyncinvoke._engine.events import (
    AttemptEnded,
    AttemptStarted,
    ExecutionEnded,
    ExecutionStarted,
)
from asyncinvoke._engine.options import Call
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._telemetry.hooks import Hooks
from asyncinvoke.errors import InvocationError


class Told:
    """Tells hooks of one execution.

    Args:
        hooks: Those who listen.
        call: What is executed.
        region: The region, where the function's name does not say it.
        streams: Whether its answer is taken as it comes.
        began: When it began.
        clock: Tells the time.
    """

    __slots__ = ("_began", "_clock", "_execution", "_hooks")

    def __init__(
        self,
        hooks: Hooks,
        call: Call,
        *,
        region: str | None,
        streams: bool,
        began: float,
        clock: Clock,
    ) -> None:
        parameters = call.parameters
        target = parameters.target
        self._hooks = hooks
        self._clock = clock
        self._began = began
        self._execution = ExecutionStarted(
            function_name=call.function_name,
            name=target.name,
            qualifier=target.qualifier,
            region=target.region or region,
            invocation_type=parameters.invocation_type,
            streams=streams,
        )

    def started(self) -> None:
        """Tell that it has begun."""
        self._hooks.tell(self._execution)

    def attempt_started(self, number: int, waited: float) -> None:
        """Tell that an attempt is about to be sent."""
        self._hooks.tell(AttemptStarted(execution=self._execution, number=number, waited=waited))

    def attempt_ended(self, attempt: Attempt) -> None:
        """Tell how an attempt fared."""
        self._hooks.tell(AttemptEnded(execution=self._execution, attempt=attempt))

    def handed_over(self) -> None:
        """Tell that the block of its stream begins."""
        self._hooks.handed_over(self._execution)

    def ended(self, result: Response[Any] | InvocationError | None) -> None:
        """Tell that it has ended."""
        elapsed = self._clock.monotonic() - self._began
        self._hooks.tell(ExecutionEnded(execution=self._execution, result=result, elapsed=elapsed))
