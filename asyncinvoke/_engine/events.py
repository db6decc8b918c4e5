"""The events that hooks receive: of an execution, its attempts, a run, and a limit that changes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from asyncinvoke._engine.outcome import MapStatistics
from asyncinvoke._limits.events import LimitChanged
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._request.request import InvocationType
from asyncinvoke._request.target import Target
from asyncinvoke.errors import InvocationError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExecutionStarted:
    """An execution is starting. Compared by identity, so it can serve as the execution's key."""

    target: Target
    """The function, with its qualifier."""

    region: str | None
    """The region of the function, if known."""

    invocation_type: InvocationType
    """The invocation type."""

    streams: bool
    """Whether the response is streamed, by `Invoker.stream`."""

    @property
    def function_name(self) -> str:
        """The function as sent: a name, or an ARN without its qualifier."""
        return self.target.function_name

    @property
    def name(self) -> str:
        """The bare name of the function."""
        return self.target.name

    @property
    def qualifier(self) -> str | None:
        """The version or alias, if one was given."""
        return self.target.qualifier


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttemptStarted:
    """An attempt is about to be sent.

    If no file descriptor is available for its connection while other attempts are in flight, it
    does not count as an attempt, and the event is emitted again with the same number.
    """

    execution: ExecutionStarted
    """The execution it belongs to."""

    number: int
    """The number of the attempt within its execution, from 1."""

    waited: float
    """How long it waited for a permit, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttemptEnded:
    """An attempt has ended. Not emitted for cancelled attempts."""

    execution: ExecutionStarted
    """The execution it belongs to."""

    attempt: Attempt
    """The result of the attempt; `delay` is the backoff before the next one, if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExecutionEnded:
    """An execution has ended. Emitted exactly once for each execution that started."""

    execution: ExecutionStarted
    """The execution."""

    result: Response[Any] | InvocationError | None
    """The response or the error. `None` if the execution was cancelled, if the block of its stream
    was left early, or if user code, such as a retry policy, raised."""

    elapsed: float
    """How long it took, including waits, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunStarted:
    """The block of a map was entered. Compared by identity, so it can serve as the run's key."""

    function_name: str
    """The map's function, as given by the caller."""

    concurrency: int
    """The initial concurrency."""

    ordered: bool
    """Whether outcomes are yielded in input order."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunSample:
    """The progress of a run; emitted when an outcome arrives, at most once per second."""

    run: RunStarted
    """The run."""

    statistics: MapStatistics
    """Its current statistics."""

    elapsed: float
    """The time since the run started, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunEnded:
    """The block of a map was left and all its tasks have finished."""

    run: RunStarted
    """The run."""

    statistics: MapStatistics
    """Its final statistics."""

    elapsed: float
    """How long it took, in seconds."""


Event: TypeAlias = (
    ExecutionStarted
    | AttemptStarted
    | AttemptEnded
    | ExecutionEnded
    | LimitChanged
    | RunStarted
    | RunSample
    | RunEnded
)
"""Any event that a hook receives."""

Hook: TypeAlias = Callable[[Event], object]
"""A plain function called with each event, in the task in which it occurs; it must be fast."""


# A frozen dataclass sets each field through `object.__setattr__`. There are four events per call,
# so each is created as an instance of an unfrozen class with the same slots, whose `__class__` is
# then changed to the frozen one. This takes a third of the time.


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
"""Arguments: the target, the region, the invocation type, and whether it streams."""

attempt_started = cast("Callable[[ExecutionStarted, int, float], AttemptStarted]", _AttemptStarted)
"""Arguments: the execution, the attempt number, and the time spent waiting for the permit."""

attempt_ended = cast("Callable[[ExecutionStarted, Attempt], AttemptEnded]", _AttemptEnded)
"""Arguments: the execution and the attempt."""

execution_ended = cast(
    "Callable[[ExecutionStarted, Response[Any] | InvocationError | None, float], ExecutionEnded]",
    _ExecutionEnded,
)
"""Arguments: the execution, its result, and the elapsed time."""
