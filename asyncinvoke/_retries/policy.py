"""Which failures are retried, and how: a tenacity wait and stop per kind of failure, and a budget."""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Self

from tenacity import (
    stop_after_attempt,
    stop_after_delay,
    stop_never,
    wait_random_exponential,
)

from asyncinvoke._model.failure import FailureKind
from asyncinvoke._recent import Recent
from asyncinvoke._request.numbers import is_finite
from asyncinvoke._request.target import show_value
from asyncinvoke._retries.strategies import Stop, Wait, flaw_of
from asyncinvoke.errors import ConfigurationError, InvocationError

MOST_BALANCES = 4096
"""The minimum number of functions whose balance is cached.

A function that is evicted starts again with a full balance.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """Limits retries to a share of executions, with a floor; tracked separately per function.

    Every execution earns `ratio` retries and every second earns `per_second` retries, up to a
    balance of `burst`. A retry that exceeds the balance is not made.

    Raises:
        ConfigurationError: A number is negative, not finite, or `burst` is below 1.
    """

    ratio: float = 0.2
    """Retries earned per execution."""

    per_second: float = 1.0
    """Retries earned per second, so that low traffic can retry too."""

    burst: float = 100.0
    """The maximum balance, which is also the initial one."""

    def __post_init__(self) -> None:
        for name, least in (("ratio", 0), ("per_second", 0), ("burst", 1)):
            value = getattr(self, name)
            if not (is_finite(value) and value >= least):
                raise ConfigurationError(
                    f"{name} {show_value(value)} must be a number from {least}, and finite"
                )


class Balance:
    """The remaining budget of one function; the time is passed in."""

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
        # Until something is spent the balance is full, so the start time does not matter.
        earned = max(0.0, now - self._settled) * self._budget.per_second
        self._retries = min(self._budget.burst, self._retries + earned)
        self._settled = now
        if self._retries < 1:
            return False
        self._retries -= 1
        return True


class Balances:
    """The balances of recently called functions, by budget and key."""

    def __init__(self) -> None:
        self._balances: Recent[tuple[RetryBudget, Hashable], Balance] = Recent(MOST_BALANCES)

    def of(self, budget: RetryBudget, key: Hashable) -> Balance:
        """Return a function's balance of a budget."""
        balance = self._balances.get((budget, key))
        if balance is None:
            balance = Balance(budget)
            self._balances.put((budget, key), balance)
        return balance


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How failures of one kind are retried.

    The strategies see only failures of this kind: `attempt_number` counts them, so
    `stop_after_attempt(3)` allows three failures of this kind. `seconds_since_start` counts from
    the first of them, or with `holds_back` from the beginning of the outage if that was earlier;
    `outcome` holds the error.

    Raises:
        ConfigurationError: `wait`, `stop` or `when` is not a plain function, is a class, or is
            tenacity's object for something else; or `holds_back` is neither `True` nor `False`.
    """

    wait: Wait
    """The delay before the next attempt, in seconds: any tenacity wait; combine them with `+`."""

    stop: Stop
    """When to give up: any tenacity stop; combine them with `|` and `&`."""

    when: Callable[[InvocationError], bool] | None = None
    """Which errors of this kind to retry; by default all. Useful for function errors:
    `lambda error: isinstance(error, FunctionError) and error.error_type == "Busy"`."""

    holds_back: bool = False
    """Whether failures of this kind pause all calls of the invoker, with an occasional probe to
    check for recovery. Intended for outages; see `RetryPolicy.not_sent`."""

    def __post_init__(self) -> None:
        for name in ("wait", "stop", "when"):
            strategy = getattr(self, name)
            if strategy is None and name == "when":
                continue
            if (flaw := flaw_of(name, strategy)) is not None:
                raise ConfigurationError(f"Backoff({name}={show_value(strategy)}) {flaw}")
        if not isinstance(self.holds_back, bool):
            raise ConfigurationError(
                f"Backoff(holds_back={show_value(self.holds_back)}) must be True or False"
            )


LONGEST_OUTAGE = 300.0
"""How long `RetryPolicy.batch()` keeps retrying requests that cannot be sent, in seconds."""


def _jitter(initial: float, longest: float) -> Wait:
    """Return a random wait between 0 and a bound that starts at `initial` seconds and doubles."""
    return wait_random_exponential(multiplier=initial, max=longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """A backoff for each kind of failure, or `None` to never retry it.

    Regardless of the policy, a failure whose delivery is `UNKNOWN` is retried only if the call is
    idempotent, names a durable execution, or is a dry run. A `FunctionError`, where the function
    did run, is retried only if `function` is set.

    Raises:
        ConfigurationError: A backoff is no `Backoff`, the budget no `RetryBudget`, or
            `max_retry_after` not a positive, finite number of seconds.
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
    """For a `TransportError` where the request certainly did not reach Lambda
    (`Delivery.NOT_SENT`): credentials temporarily unavailable, connection refused, unknown host.
    By default the same as `transport`."""

    function: Backoff | None = None
    """For `FunctionError`. The function ran: set this only if it is safe to run it again."""

    rejected: Backoff | None = None
    """For `RejectedError`; useful only if the rejection is temporary, such as for a function or a
    permission that was just created."""

    budget: RetryBudget | None = None
    """The retry budget per function, for all kinds of failure; `None` for no limit."""

    max_retry_after: float = 60.0
    """The upper bound for a delay requested by the service, in seconds."""

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

    @classmethod
    def never(cls) -> Self:
        """Return a policy without retries: every execution is a single attempt."""
        return cls()

    @classmethod
    def standard(cls) -> Self:
        """Return the policy for services: three attempts per kind of failure, and a budget.

        It fails fast, with waits of at most 1 and 2 s after a throttle or if the function is not
        ready, otherwise of 0.1 and 0.2 s. Function errors and rejections are not retried.
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
        """Return the policy for bulk runs: wait out throttles forever, outages for five minutes.

        A throttled item releases its permit and waits for up to 5 s at a time, until the run ends
        or its own `timeout` expires. Requests that certainly did not reach Lambda are retried for
        five minutes, during which all other calls are held back. A function that is not ready gets
        ten attempts, with random waits of at most 1, 2, 4, 8, 16 and then 20 s; service and
        transport failures get five, with waits of at most 0.2, 0.4, 0.8 and 1.6 s. Function errors
        and rejections are not retried.
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
