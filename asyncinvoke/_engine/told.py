"""Makes the events that are told of each call, at a third of what a frozen dataclass costs.

A frozen dataclass sets each of its fields through `object.__setattr__`. Four events are told of each
call, so each of them is filled as an object of a class with the same slots that is not frozen, and
becomes one of its own class, frozen as any other, as the last thing.
"""

from collections.abc import Callable
from typing import Any, cast

from asyncinvoke._engine.events import (
    AttemptEnded,
    AttemptStarted,
    ExecutionEnded,
    ExecutionStarted,
)
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._request.request import InvocationType
from asyncinvoke._request.target import Target
from asyncinvoke.errors import InvocationError


class _ExecutionStarted:
    __slots__ = ("invocation_type", "region", "streams", "target")

    def __init__(self, target: Any, region: Any, invocation_type: Any, streams: Any) -> None:
        self.target = target
        self.region = region
        self.invocation_type = invocation_type
        self.streams = streams
        self.__class__ = ExecutionStarted  # type: ignore[assignment]  # noqa: PLE0237  # same slots


class _AttemptStarted:
    __slots__ = ("execution", "number", "waited")

    def __init__(self, execution: Any, number: Any, waited: Any) -> None:
        self.execution = execution
        self.number = number
        self.waited = waited
        self.__class__ = AttemptStarted  # type: ignore[assignment]  # noqa: PLE0237  # same slots


class _AttemptEnded:
    __slots__ = ("attempt", "execution")

    def __init__(self, execution: Any, attempt: Any) -> None:
        self.execution = execution
        self.attempt = attempt
        self.__class__ = AttemptEnded  # type: ignore[assignment]  # noqa: PLE0237  # same slots


class _ExecutionEnded:
    __slots__ = ("elapsed", "execution", "result")

    def __init__(self, execution: Any, result: Any, elapsed: Any) -> None:
        self.execution = execution
        self.result = result
        self.elapsed = elapsed
        self.__class__ = ExecutionEnded  # type: ignore[assignment]  # noqa: PLE0237  # same slots


execution_started = cast(
    "Callable[[Target, str | None, InvocationType, bool], ExecutionStarted]", _ExecutionStarted
)
"""Takes the target, the region, the invocation type, and whether it streams."""

attempt_started = cast("Callable[[ExecutionStarted, int, float], AttemptStarted]", _AttemptStarted)
"""Takes the execution, the number and the wait for the permit."""

attempt_ended = cast("Callable[[ExecutionStarted, Attempt], AttemptEnded]", _AttemptEnded)
"""Takes the execution and the attempt."""

execution_ended = cast(
    "Callable[[ExecutionStarted, Response[Any] | InvocationError | None, float], ExecutionEnded]",
    _ExecutionEnded,
)
"""Takes the execution, its result and how long it took."""
