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
"""How many functions are counted by name; any further functions share one counter."""


class ExecutionOutcome(StrEnum):
    """How an execution ended, for counters."""

    SUCCEEDED = "succeeded"
    """There was a response, and the function did not fail."""

    FUNCTION = "function"
    """The function ran and failed, whether this was raised or returned as a response."""

    THROTTLED = "throttled"
    """Still throttled on the last attempt."""

    NOT_READY = "not_ready"
    """The function was still not ready on the last attempt."""

    REJECTED = "rejected"
    """The request was permanently rejected."""

    SERVICE = "service"
    """Lambda itself failed."""

    TRANSPORT = "transport"
    """There was no usable response, or the invoker was closed."""

    DEADLINE = "deadline"
    """The timeout expired."""

    CANCELLED = "cancelled"
    """There is no result: the execution was cancelled, its stream was left early, or user code,
    such as a retry policy, raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionStatistics:
    """The executions of one function since the invoker was created."""

    function: str
    """The function, with account and qualifier if given, but without the tenant. Empty for the
    combined entry of all functions beyond the first 4,096."""

    executions: Mapping[ExecutionOutcome, int]
    """Completed executions by outcome; outcomes that did not occur are omitted."""

    latency_count: int
    """Executions that ended with a response or an error."""

    latency_sum: float
    """Their total duration, including waits and retries, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeStatistics:
    """A snapshot of one throttling scope."""

    scope: ThrottleScope
    """A function, an account, this caller, or this process."""

    key: str
    """The function (with qualifier and tenant) or account; empty for the caller, the process, and
    the account of the credentials."""

    limit: int
    """The maximum number of attempts in flight."""

    rate: float | None
    """The maximum number of attempts started per second; `None` until a throttle reports such a
    limit."""

    pause: float
    """The approximate interval between attempts, in seconds, while every attempt is refused;
    otherwise 0."""

    in_flight: int
    """Attempts in flight. Functions known to have reserved concurrency do not count towards their
    account."""

    waiting: int
    """Executions waiting for a permit."""

    throttles: int
    """Attempts throttled for a reason that applies to this scope; for the process, attempts for
    which no file descriptor was available."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokerStatistics:
    """A snapshot of an invoker, with its counters since it was opened."""

    limit: int
    """The maximum number of attempts in flight."""

    in_flight: int
    """Attempts in flight."""

    waiting: int
    """Executions waiting for a permit; those in backoff are not included."""

    calls: int
    """Calls started."""

    attempts: int
    """Attempts started."""

    retries: int
    """Attempts that were not the first of their execution."""

    throttles: Mapping[ThrottleReason, int]
    """Throttled attempts, by reason."""

    scopes: tuple[ScopeStatistics, ...]
    """The current limits of the caller, the process, the accounts, and the functions in use."""

    executions: Mapping[ExecutionOutcome, int] = field(default_factory=dict)
    """Completed executions by outcome. `calls` minus their sum is the number in progress."""

    functions: tuple[FunctionStatistics, ...] = ()
    """The same per function, with latencies."""

    connecting: Mapping[str, int] = field(default_factory=dict)
    """Connections that are being opened, by the origin that they lead to. Those that the SDK opens
    are not included."""


class FunctionTally:
    """Counts the executions of one function; updated by the engine."""

    __slots__ = ("function", "latency", "others", "succeeded")

    def __init__(self, function: str = "") -> None:
        self.function: str = function
        self.succeeded: int = 0
        self.latency: float = 0.0
        self.others: Counter[ExecutionOutcome] = Counter()

    def ended(self, result: Response[Any] | InvocationError | None, elapsed: float = 0.0) -> None:
        """Count a completed execution; a result of `None` means that it was cancelled."""
        outcome = outcome_of(result)
        if result is not None:
            self.latency += elapsed
        if outcome is ExecutionOutcome.SUCCEEDED:
            self.succeeded += 1
        else:
            self.others[outcome] += 1

    @property
    def executions(self) -> dict[ExecutionOutcome, int]:
        """Completed executions, by outcome."""
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
    """Return the outcome of an execution; `None` means cancelled."""
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
    """Counts attempts and executions; updated by the engine, read by `Invoker.statistics()`."""

    __slots__ = ("_functions", "attempts", "calls", "retries", "throttles")

    def __init__(self) -> None:
        self.calls: int = 0
        self.attempts: int = 0
        self.retries: int = 0
        self.throttles: Counter[ThrottleReason] = Counter()
        self._functions: dict[str, FunctionTally] = {}

    def of_function(self, function: str) -> FunctionTally:
        """Return the counters of a function."""
        found = self._functions.get(function)
        if found is None:
            if len(self._functions) >= MOST_FUNCTIONS:
                function = ""
            found = self._functions.setdefault(function, FunctionTally(function))
        return found

    def functions(self) -> tuple[FunctionStatistics, ...]:
        """Return a snapshot of each function that has a completed execution."""
        each = (tally.statistics() for tally in list(self._functions.values()))
        return tuple(found for found in each if found.executions)

    def executions(self) -> dict[ExecutionOutcome, int]:
        """Return the total number of completed executions, by outcome."""
        counted: Counter[ExecutionOutcome] = Counter()
        for tally in list(self._functions.values()):
            counted.update(tally.executions)
        return dict(counted)
