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
    """An execution begins. It is equal to itself alone, and so names the execution to a hook."""

    target: Target
    """The function, with its qualifier."""

    region: str | None
    """The region of the function, if it is known."""

    invocation_type: InvocationType
    """How Lambda is to run it."""

    streams: bool
    """Whether its answer is taken as it comes, by `Invoker.stream`."""

    @property
    def function_name(self) -> str:
        """The function as it is sent: a name, or an ARN without its qualifier."""
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

    Where there is no file for its connection while others have theirs, that was no attempt, and the
    same number is told again.
    """

    execution: ExecutionStarted
    """Its execution."""

    number: int
    """Which try of its execution this is, from 1."""

    waited: float
    """How long it has waited for its permit, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttemptEnded:
    """An attempt has ended; not told of one that was cancelled."""

    execution: ExecutionStarted
    """Its execution."""

    attempt: Attempt
    """How it fared; `delay` is the backoff that follows, if another one does."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExecutionEnded:
    """An execution has ended, in whatever way; told exactly once for each that has started."""

    execution: ExecutionStarted
    """The execution."""

    result: Response[Any] | InvocationError | None
    """Its response or its error. `None` if it was cancelled, if the block of its stream was left
    early, or if code of the caller's own, such as a retry policy, raised."""

    elapsed: float
    """How long it took, waits included, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunStarted:
    """The block of a map was entered. It is equal to itself alone, and so names the run."""

    function_name: str
    """The map's function, as the caller has written it."""

    concurrency: int
    """How many items are worked on at once, to begin with."""

    ordered: bool
    """Whether outcomes come in the order of the input."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunSample:
    """How far a run is; told with an outcome, at most once a second."""

    run: RunStarted
    """The run."""

    statistics: MapStatistics
    """Its counts."""

    elapsed: float
    """How long it has taken so far, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunEnded:
    """The block of a map was left, and nothing of it is under way any more."""

    run: RunStarted
    """The run."""

    statistics: MapStatistics
    """Its counts at the end."""

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
"""What a hook is given."""

Hook: TypeAlias = Callable[[Event], object]
"""A plain function that is given each event, in the task in which it happens; it must be quick."""


# A frozen dataclass sets each of its fields through `object.__setattr__`. Four events are told of each
# call, so each of them is filled as an object of a class with the same slots that is not frozen, and
# becomes one of its own class, frozen as any other, as the last thing: at a third of the cost.


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
