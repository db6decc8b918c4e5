"""The outcome of one item of a map, and the counts of all outcomes."""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from asyncinvoke._model.failure import FailureKind
from asyncinvoke._model.response import Attempt, Out, Response, value
from asyncinvoke.errors import AsyncInvokeError


@value
class Outcome(Generic[Out]):
    """The result of one payload: a response or an error, never both."""

    index: int
    """The position of the item in the input, from 0."""

    started: float
    """When its execution began, in seconds since the epoch."""

    elapsed: float
    """How long its execution took, including waits, in seconds."""

    key: str | None = None
    """The key of the item, from the map's `key` or the item's own."""

    response: Response[Out] | None = None
    """The response, if it succeeded."""

    error: AsyncInvokeError | None = None
    """The error, if it failed: an `InvocationError`, or an `InvalidRequestError` if its payload
    could not be sent."""

    attempts: tuple[Attempt, ...] = ()
    """All attempts; empty if nothing was sent."""

    take: int = 1
    """How many times the item has been run: 2 after a redrive, and so on; 0 if it was not run
    because its key duplicates that of another item."""

    replayed: bool = False
    """Whether the outcome was recorded by an earlier session and replayed from the journal."""

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.error is None

    def unwrap(self) -> Response[Out]:
        """Return the response, or raise a new copy of `error`."""
        # A raised exception gets a traceback, whose frames may refer to this outcome. Raising
        # `error` itself would create a reference cycle that keeps the payload of every failure
        # alive.
        if self.error is not None:
            raise copied(self.error)
        assert self.response is not None  # noqa: S101  # one of the two is always set
        return self.response


ErrorT = TypeVar("ErrorT", bound=AsyncInvokeError)


def copied(error: ErrorT) -> ErrorT:
    """Return a copy of an error with the same cause."""
    another = copy.copy(error)
    another.__cause__ = error.__cause__
    return another


if TYPE_CHECKING:

    @dataclass(frozen=True, kw_only=True)
    class Succeeded(Outcome[Out]):
        """An outcome that is `ok`, as type checkers see it."""

        response: Response[Out]
        error: None = None

        @property
        def ok(self) -> Literal[True]:
            """Whether it succeeded."""
            ...

    @dataclass(frozen=True, kw_only=True)
    class Failed(Outcome[Out]):
        """An outcome that is not `ok`, as type checkers see it."""

        response: None = None
        error: AsyncInvokeError

        @property
        def ok(self) -> Literal[False]:
            """Whether it succeeded."""
            ...

else:
    # At run time there is one class. A run is annotated as yielding one of these two, so that
    # `if outcome.ok` tells a type checker which of `response` and `error` is set.
    Succeeded = Failed = Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStatistics:
    """A snapshot of a map."""

    concurrency: int
    """The maximum number of items processed concurrently."""

    total: int | None
    """The number of items in the input; `None` if unknown."""

    paused: bool
    """Whether the map is paused and starts nothing."""

    stopped: bool
    """Whether the map was stopped: nothing more is read or started, but calls may still be in
    flight."""

    read: int
    """Items read from the input."""

    working: int
    """Items that were read and have no outcome yet: in flight, in backoff, or waiting for a worker
    or a permit."""

    succeeded: int
    """Outcomes that are `ok`."""

    failed: int
    """Outcomes that are not `ok`."""

    lost: int
    """Items that may have run when an earlier process running this map died. They are not sent
    again and are not included in `failed`. Only with a journal, like the next two."""

    recorded: int
    """Items not sent because an earlier session recorded their outcome. They are not included in
    `succeeded` and `failed`."""

    replayed: int
    """Recorded items whose outcomes were replayed."""

    buffered: int
    """Outcomes not yet consumed."""

    attempts: int
    """Attempts of the items that have an outcome."""

    throttled: int
    """Those of these attempts that were throttled."""

    waiting_for: str | None
    """A description of the current bottleneck: the consumer, the input, or a limit. `None` if the
    run is limited only by the calls themselves."""


class MapTally:
    """Counts outcomes; updated by a map, read by `MapRun.statistics()`."""

    __slots__ = (
        "_last",
        "attempts",
        "failed",
        "lost",
        "recorded",
        "replayed",
        "succeeded",
        "throttled",
    )

    def __init__(self) -> None:
        self._last: tuple[Attempt, ...] | None = None
        self.succeeded: int = 0
        self.failed: int = 0
        self.lost: int = 0
        self.recorded: int = 0
        self.replayed: int = 0
        self.attempts: int = 0
        self.throttled: int = 0

    def add(self, outcome: Outcome[Any]) -> None:
        """Count an outcome and its attempts."""
        attempts = outcome.attempts
        if outcome.error is None:
            self.succeeded += 1
        else:
            self.failed += 1
        if attempts is self._last:
            return  # the items of a batch share their attempts, and arrive consecutively
        self._last = attempts
        self.attempts += len(attempts)
        if outcome.error is None and len(attempts) == 1:
            return  # nearly always
        self.throttled += sum(attempt.kind is FailureKind.THROTTLED for attempt in attempts)
