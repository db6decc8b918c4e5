"""Counters of what an invoker has done, and the snapshot made of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from asyncinvoke._model.failure import ThrottleReason, ThrottleScope


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


class Tally:
    """Counts attempts; added to by the engine, read by `Invoker.statistics()`."""

    __slots__ = ("attempts", "calls", "retries", "throttles")

    def __init__(self) -> None:
        self.calls = 0
        self.attempts = 0
        self.retries = 0
        self.throttles: Counter[ThrottleReason] = Counter()
