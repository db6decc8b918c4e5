"""The outcome of one item of a map, and the counts of all."""

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

    key: str | None = None
    """What the map's `key`, or the item's own, calls it."""

    response: Response[Out] | None = None
    """The response, if it succeeded."""

    error: AsyncInvokeError | None = None
    """Why it failed, if it did: an `InvocationError`, or an `InvalidRequestError` if its payload
    could not be sent."""

    attempts: tuple[Attempt, ...] = ()
    """Every try; empty if nothing was sent."""

    started: float
    """When its execution began, in seconds since the epoch."""

    elapsed: float
    """How long its execution took, waits included, in seconds."""

    take: int = 1
    """Which run of the item this was: a redrive of its journal makes the second; 0 where its key is
    that of another item, and it was never run."""

    replayed: bool = False
    """Whether an earlier session of the run has recorded it, and it was not run now."""

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.error is None

    def unwrap(self) -> Response[Out]:
        """Return the response, or raise the error: a copy of `error`, each time a new one."""
        # What is raised gets a traceback, which holds the frames that it passes, which may hold
        # this outcome. So `error` itself must have none, or the two would keep each other alive,
        # and the payload of every failure with them.
        if self.error is not None:
            raise copied(self.error)
        assert self.response is not None  # noqa: S101  # one of the two is always there
        return self.response


ErrorT = TypeVar("ErrorT", bound=AsyncInvokeError)


def copied(error: ErrorT) -> ErrorT:
    """Return an error of its own with the same content and the same cause."""
    another = copy.copy(error)
    another.__cause__ = error.__cause__
    return another


if TYPE_CHECKING:

    @value
    class Succeeded(Outcome[Out]):
        """An outcome that is `ok`, as type checkers see it."""

        response: Response[Out]
        error: None = None

        @property
        def ok(self) -> Literal[True]:
            """Whether it succeeded."""
            ...

    @value
    class Failed(Outcome[Out]):
        """An outcome that is not, as type checkers see it."""

        response: None = None
        error: AsyncInvokeError

        @property
        def ok(self) -> Literal[False]:
            """Whether it succeeded."""
            ...

else:
    # There is one class. What a run gives is called one of these two, so that `if outcome.ok` tells
    # a type checker which of `response` and `error` is there.
    Succeeded = Failed = Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStatistics:
    """A moment of a map."""

    concurrency: int
    """How many items may be worked on at once."""

    total: int | None
    """How many items the input has, if it has a length; `None` while that is not known."""

    paused: bool
    """Whether it is paused: nothing starts."""

    stopped: bool
    """Whether nothing more is read or started; what is in flight may still end."""

    read: int
    """Items taken from the input."""

    working: int
    """Items that were read and have no outcome yet: in flight, or waiting for a worker, a permit or
    a backoff."""

    succeeded: int
    """Outcomes that are `ok`."""

    failed: int
    """Outcomes that are not."""

    lost: int
    """Items that may have run when a process that ran the map before died: they were not sent
    again, and are not among the `failed`. Only with a journal, as the next two."""

    recorded: int
    """Items that were not sent, since an earlier session has recorded how they ended. They are not
    among the `succeeded` and `failed`."""

    replayed: int
    """Those of them whose outcomes were handed out."""

    buffered: int
    """Outcomes that the consumer has not taken yet."""

    attempts: int
    """Attempts of the items that have their outcome."""

    throttled: int
    """Those of them that were throttled."""

    waiting_for: str | None
    """What holds the run back, in words: the consumer, the input, or a limit. `None` for nothing
    but the work itself."""


class MapTally:
    """Counts outcomes; added to by a map, read by `MapRun.statistics()`."""

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
        if outcome.error is None:
            self.succeeded += 1
        else:
            self.failed += 1
        if outcome.attempts is self._last:
            return  # the items of a batch share theirs, and come one after the other
        self._last = outcome.attempts
        for attempt in outcome.attempts:
            self.attempts += 1
            if attempt.kind is FailureKind.THROTTLED:
                self.throttled += 1
