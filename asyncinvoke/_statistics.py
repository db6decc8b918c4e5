"""Counters of what an invoker did, and the snapshot made from them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from asyncinvoke._model.failure import ThrottleReason, ThrottleScope
from asyncinvoke._model.response import Response
from asyncinvoke.errors import (
    DeadlineExceededError,
    FunctionError,
    InvocationError,
    NotReadyError,
    RejectedError,
    ServiceError,
    ThrottledError,
)

MOST_FUNCTIONS = 4096
"""How many functions are counted by name; what is called beyond them is counted together."""


class ExecutionOutcome(StrEnum):
    """How an execution has ended, in a word for counters."""

    SUCCEEDED = "succeeded"
    """There was a response, and the function has not failed."""

    FUNCTION = "function"
    """The function ran and failed, whether that was raised or is a response."""

    THROTTLED = "throttled"
    """A limit was reached to the end."""

    NOT_READY = "not_ready"
    """The function could not run yet, to the end."""

    REJECTED = "rejected"
    """It was refused for good."""

    SERVICE = "service"
    """Lambda itself failed."""

    TRANSPORT = "transport"
    """There was no usable answer, or the invoker was closed."""

    DEADLINE = "deadline"
    """The timeout passed."""

    CANCELLED = "cancelled"
    """It has no result: it was cancelled, its stream was left early, or code of the caller's own,
    such as a retry policy, raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionStatistics:
    """What has become of the executions of one function since the invoker was made."""

    function: str
    """Which, with account and qualifier where they were given, but without the tenant; empty for
    all those together that were called when 4,096 others had been."""

    executions: Mapping[ExecutionOutcome, int]
    """Executions that have ended, by outcome; an outcome that there was none of is left out."""

    latency_count: int
    """Executions that have ended with a response or an error."""

    latency_sum: float
    """How long they took together, waits and retries included, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeStatistics:
    """A moment of what a throttle may apply to."""

    scope: ThrottleScope
    """A function, an account, this caller, or this process."""

    key: str
    """Which function (with qualifier and tenant) or account; empty for the caller, the process, and
    the account that the credentials belong to."""

    limit: int
    """How many attempts may be in flight."""

    rate: float | None
    """How many may start each second; `None` until a throttle has named such a limit."""

    pause: float
    """About how many seconds lie between attempts while not even one is admitted; 0 otherwise."""

    in_flight: int
    """Attempts on the wire. A function that is known to have concurrency of its own is not counted
    in its account."""

    waiting: int
    """Executions that wait for a permit."""

    throttles: int
    """Attempts that were throttled for a reason that names this scope; of the process, attempts that
    found no file for a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokerStatistics:
    """A moment of an invoker, with its counts since it was opened."""

    limit: int
    """How many attempts may be in flight."""

    in_flight: int
    """Attempts that are on the wire."""

    waiting: int
    """Executions that wait for a permit; those in backoff hold none and are not counted."""

    calls: int
    """Calls that were started."""

    attempts: int
    """Attempts that were started."""

    retries: int
    """Those of them that were not the first of their execution."""

    throttles: Mapping[ThrottleReason, int]
    """Attempts that were throttled, by reason."""

    scopes: tuple[ScopeStatistics, ...]
    """The present limits: of this caller and its process, of the accounts, and of the functions in
    use."""

    executions: Mapping[ExecutionOutcome, int] = field(default_factory=dict)
    """Executions that have ended, by outcome; those under way are `calls` less their sum."""

    functions: tuple[FunctionStatistics, ...] = ()
    """The same by function, with latencies."""


class FunctionTally:
    """Counts the executions of one function; added to by the engine."""

    __slots__ = ("function", "latency", "others", "succeeded")

    def __init__(self, function: str = "") -> None:
        self.function: str = function
        self.succeeded: int = 0
        self.latency: float = 0.0
        self.others: Counter[ExecutionOutcome] = Counter()

    def ended(self, result: Response[Any] | InvocationError | None, elapsed: float = 0.0) -> None:
        """Count an execution that has ended; without a result it was cancelled."""
        outcome = outcome_of(result)
        if result is not None:
            self.latency += elapsed
        if outcome is ExecutionOutcome.SUCCEEDED:
            self.succeeded += 1
        else:
            self.others[outcome] += 1

    @property
    def executions(self) -> dict[ExecutionOutcome, int]:
        """Those that have ended, by outcome."""
        counted = {ExecutionOutcome.SUCCEEDED: self.succeeded, **self.others}
        return {outcome: count for outcome, count in counted.items() if count}

    def statistics(self) -> FunctionStatistics:
        """Return a snapshot."""
        executions = self.executions
        ended = sum(executions.values())
        return FunctionStatistics(
            function=self.function,
            executions=executions,
            latency_count=ended - executions.get(ExecutionOutcome.CANCELLED, 0),
            latency_sum=self.latency,
        )


def outcome_of(result: Response[Any] | InvocationError | None) -> ExecutionOutcome:
    """Return the word for how an execution has ended; for `None` that is cancelled."""
    if result is None:
        return ExecutionOutcome.CANCELLED
    if isinstance(result, Response):
        failed = result.function_error is not None
        return ExecutionOutcome.FUNCTION if failed else ExecutionOutcome.SUCCEEDED
    return next(word for kind, word in _WORDS if isinstance(result, kind))


_WORDS = (
    (DeadlineExceededError, ExecutionOutcome.DEADLINE),
    (ThrottledError, ExecutionOutcome.THROTTLED),
    (FunctionError, ExecutionOutcome.FUNCTION),
    (NotReadyError, ExecutionOutcome.NOT_READY),
    (RejectedError, ExecutionOutcome.REJECTED),
    (ServiceError, ExecutionOutcome.SERVICE),
    (InvocationError, ExecutionOutcome.TRANSPORT),
)


class Tally:
    """Counts attempts and executions; added to by the engine, read by `Invoker.statistics()`."""

    __slots__ = ("_functions", "attempts", "calls", "retries", "throttles")

    def __init__(self) -> None:
        self.calls: int = 0
        self.attempts: int = 0
        self.retries: int = 0
        self.throttles: Counter[ThrottleReason] = Counter()
        self._functions: dict[str, FunctionTally] = {}

    def of_function(self, function: str) -> FunctionTally:
        """Return what counts the executions of a function."""
        found = self._functions.get(function)
        if found is None:
            if len(self._functions) >= MOST_FUNCTIONS:
                function = ""
            found = self._functions.setdefault(function, FunctionTally(function))
        return found

    def functions(self) -> tuple[FunctionStatistics, ...]:
        """Return a snapshot for each function of which an execution has ended."""
        each = (tally.statistics() for tally in list(self._functions.values()))
        return tuple(found for found in each if found.executions)

    def executions(self) -> dict[ExecutionOutcome, int]:
        """Return how many executions have ended in all, by outcome."""
        counted: Counter[ExecutionOutcome] = Counter()
        for tally in list(self._functions.values()):
            counted.update(tally.executions)
        return dict(counted)
