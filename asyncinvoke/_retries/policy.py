"""Which failures are retried, and how: a tenacity wait and stop per kind of failure, and a budget."""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Self, TypeAlias

from tenacity import (
    RetryCallState,
    stop_after_attempt,
    stop_after_delay,
    stop_never,
    wait_random_exponential,
)

from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import FailureKind
from asyncinvoke._recent import Recent
from asyncinvoke._request.numbers import is_finite
from asyncinvoke._request.payload import is_awaited
from asyncinvoke._request.target import show_value
from asyncinvoke._retries.classify import Verdict
from asyncinvoke.errors import ConfigurationError, InvocationError

MOST_BALANCES = 4096
"""How many functions have their balance remembered, at least.

One that is forgotten starts with a full balance.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """Retries as a share of executions, with a floor; kept apart for each function.

    Every execution earns `ratio` of a retry, every second earns `per_second` of one, and at most
    `burst` are saved up. A retry that is not covered is not made.

    Raises:
        ConfigurationError: A number is negative, not finite, or `burst` is below 1.
    """

    ratio: float = 0.2
    """Retries earned by each execution."""

    per_second: float = 1.0
    """Retries earned each second, so that little traffic can retry too."""

    burst: float = 100.0
    """The most retries that can be saved up; there are as many at the start."""

    def __post_init__(self) -> None:
        for name, least in (("ratio", 0), ("per_second", 0), ("burst", 1)):
            value = getattr(self, name)
            if not (is_finite(value) and value >= least):
                raise ConfigurationError(
                    f"{name} {show_value(value)} must be a number from {least}, and finite"
                )


class Balance:
    """What one function has left of a budget; time is passed in."""

    __slots__ = ("_budget", "_retries", "_settled")

    def __init__(self, budget: RetryBudget) -> None:
        self._budget = budget
        self._retries = float(budget.burst)
        self._settled = math.inf

    def earn(self) -> None:
        """Count an execution."""
        self._retries = min(self._budget.burst, self._retries + self._budget.ratio)

    def spend(self, *, now: float) -> bool:
        """Pay for a retry, or return `False` if it is not covered."""
        # Before anything was spent it is full, so that it does not matter when it began.
        earned = max(0.0, now - self._settled) * self._budget.per_second
        self._retries = min(self._budget.burst, self._retries + earned)
        self._settled = now
        if self._retries < 1:
            return False
        self._retries -= 1
        return True


class Balances:
    """The balances of the functions that were called of late, each for its budget and key."""

    def __init__(self) -> None:
        self._balances: Recent[tuple[RetryBudget, Hashable], Balance] = Recent(MOST_BALANCES)

    def of(self, budget: RetryBudget, key: Hashable) -> Balance:
        """Return what a function has left of a budget."""
        balance = self._balances.get((budget, key))
        if balance is None:
            balance = Balance(budget)
            self._balances.put((budget, key), balance)
        return balance


Wait: TypeAlias = Callable[[RetryCallState], float]
"""A tenacity wait strategy, such as `tenacity.wait_exponential(max=20)`."""

Stop: TypeAlias = Callable[[RetryCallState], bool]
"""A tenacity stop strategy, such as `tenacity.stop_after_attempt(3)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How failures of one kind are repeated.

    The strategies see only the failures of their own kind: `attempt_number` counts those, so that
    `stop_after_attempt(3)` allows three failures of this kind. `seconds_since_start` counts from
    the first of them, `outcome` holds the error.

    Raises:
        ConfigurationError: `wait`, `stop` or `when` is not a plain function.
    """

    wait: Wait
    """How long to wait before the next attempt, in seconds; any tenacity wait, composed with `+`."""

    stop: Stop
    """When to give up; any tenacity stop, composed with `|` and `&`."""

    when: Callable[[InvocationError], bool] | None = None
    """Which errors of this kind to repeat; by default all. For function errors, such as
    `lambda error: isinstance(error, FunctionError) and error.error_type == "Busy"`."""

    holds_back: bool = False
    """Whether everything else of the invoker waits too while failures of this kind go on, with one
    attempt now and then to see whether they still do. For outages: see `not_sent`."""

    def __post_init__(self) -> None:
        for name in ("wait", "stop", "when"):
            strategy = getattr(self, name)
            if strategy is None and name == "when":
                continue
            if not callable(strategy) or is_awaited(strategy):
                raise ConfigurationError(
                    f"Backoff({name}={strategy!r}) must be a plain callable, not awaited"
                )


LONGEST_OUTAGE = 300.0
"""For how many seconds `RetryPolicy.batch()` goes on trying what cannot be sent."""


def _jitter(initial: float, longest: float) -> Wait:
    """Wait at random between 0 and a bound that starts at `initial` and doubles, in seconds."""
    return wait_random_exponential(multiplier=initial, max=longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """A backoff for each kind of failure, or `None` for never.

    Whatever the policy says, a failure whose delivery is `UNKNOWN` is repeated only if the call is
    idempotent, names a durable execution, or is a dry run. A `FunctionError`, whose function surely
    ran, is repeated only by `function=`.

    Raises:
        ConfigurationError: `max_retry_after` is not a positive number of seconds.
    """

    throttled: Backoff | None = None
    """For `ThrottledError`."""

    not_ready: Backoff | None = None
    """For `NotReadyError`."""

    service: Backoff | None = None
    """For `ServiceError`."""

    transport: Backoff | None = None
    """For `TransportError`."""

    not_sent: Backoff | None = None
    """For a `TransportError` of what surely did not reach Lambda (`Delivery.NOT_SENT`): no
    credentials just now, connection refused, no such host; by default as `transport`."""

    function: Backoff | None = None
    """For `FunctionError`. The function has run: set this only if running it again is right."""

    rejected: Backoff | None = None
    """For `RejectedError`; of use only where the refusal will pass, as for a function or a
    permission that was just made."""

    budget: RetryBudget | None = None
    """How many retries of all kinds a function may cost; `None` for any number."""

    max_retry_after: float = 60.0
    """The longest wait that the service may ask for, in seconds; a longer one is cut to this."""

    def __post_init__(self) -> None:
        for name in (*FailureKind, "not_sent"):
            backoff = getattr(self, name)
            if not (backoff is None or isinstance(backoff, Backoff)):
                raise ConfigurationError(f"{name}={show_value(backoff)} must be a Backoff or None")
        if not (self.budget is None or isinstance(self.budget, RetryBudget)):
            raise ConfigurationError(
                f"budget={show_value(self.budget)} must be a RetryBudget or None"
            )
        longest = self.max_retry_after
        if not (is_finite(longest) and longest > 0):
            raise ConfigurationError(
                f"max_retry_after={show_value(longest)} must be a positive number of seconds, "
                "and finite"
            )

    def backoff(self, verdict: Verdict) -> Backoff | None:
        """Return the backoff for a failed attempt, if it has one."""
        if (
            verdict.kind is FailureKind.TRANSPORT
            and verdict.delivery is Delivery.NOT_SENT
            and self.not_sent is not None
        ):
            return self.not_sent
        backoff: Backoff | None = getattr(self, verdict.kind)
        return backoff

    @classmethod
    def never(cls) -> Self:
        """Every execution is one attempt."""
        return cls()

    @classmethod
    def standard(cls) -> Self:
        """For services: three attempts for each kind of failure, with short waits and a budget.

        A caller finds out quickly.
        """
        return cls(
            throttled=Backoff(wait=_jitter(1, 5), stop=stop_after_attempt(3)),
            not_ready=Backoff(wait=_jitter(1, 5), stop=stop_after_attempt(3)),
            service=Backoff(wait=_jitter(0.1, 2), stop=stop_after_attempt(3)),
            transport=Backoff(wait=_jitter(0.1, 2), stop=stop_after_attempt(3)),
            budget=RetryBudget(),
        )

    @classmethod
    def batch(cls) -> Self:
        """For bulk runs: throttles are waited out for ever, outages for five minutes.

        A throttled item gives back its permit and waits for up to 5 s at a time, for as long as
        the run lives or until its own `timeout`. What surely did not reach Lambda is tried again
        for five minutes, with everything else held back meanwhile. All else has five attempts (ten
        where the function is not ready), with random waits of at most 0.2, 0.4, 0.8 and 1.6 s.
        """
        return cls(
            throttled=Backoff(wait=_jitter(0.05, 5), stop=stop_never),
            not_ready=Backoff(wait=_jitter(1, 20), stop=stop_after_attempt(10)),
            service=Backoff(wait=_jitter(0.2, 20), stop=stop_after_attempt(5)),
            transport=Backoff(wait=_jitter(0.2, 20), stop=stop_after_attempt(5)),
            not_sent=Backoff(
                wait=_jitter(0.05, 5), stop=stop_after_delay(LONGEST_OUTAGE), holds_back=True
            ),
        )
