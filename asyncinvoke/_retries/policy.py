"""Which failures are repeated, and how: a tenacity wait and stop for each kind of failure."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeAlias

from tenacity import RetryCallState, stop_after_attempt, stop_never, wait_random_exponential

from asyncinvoke._model.failure import FailureKind
from asyncinvoke._retries.budget import RetryBudget
from asyncinvoke.errors import ConfigurationError, InvocationError

Wait: TypeAlias = Callable[[RetryCallState], float]
"""A tenacity wait strategy, such as `tenacity.wait_exponential(max=20)`."""

Stop: TypeAlias = Callable[[RetryCallState], bool]
"""A tenacity stop strategy, such as `tenacity.stop_after_attempt(3)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How failures of one kind are repeated.

    The strategies see only the failures of their own kind: `attempt_number` counts those, so that
    `stop_after_attempt(3)` allows three failures of this kind. `seconds_since_start` counts from
    the start of the execution, `outcome` holds the error.

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

    def __post_init__(self) -> None:
        for name in ("wait", "stop", "when"):
            strategy = getattr(self, name)
            if strategy is None and name == "when":
                continue
            if not callable(strategy) or inspect.iscoroutinefunction(strategy):
                raise ConfigurationError(
                    f"Backoff({name}={strategy!r}) must be a plain callable, not awaited"
                )


def _jitter(initial: float, longest: float) -> Wait:
    """Wait at random between 0 and a bound that starts at `initial` and doubles, in seconds."""
    return wait_random_exponential(multiplier=initial, max=longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """A backoff for each kind of failure, or `None` for never.

    Whatever the policy says, a failure after which the function may have run is repeated only if
    the call is idempotent, names a durable execution, or is a dry run.

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
        for kind in FailureKind:
            backoff = self.backoff(kind)
            if not (backoff is None or isinstance(backoff, Backoff)):
                raise ConfigurationError(f"{kind}={backoff!r} must be a Backoff or None")
        if not (self.budget is None or isinstance(self.budget, RetryBudget)):
            raise ConfigurationError(f"budget={self.budget!r} must be a RetryBudget or None")
        longest = self.max_retry_after
        if not (isinstance(longest, int | float) and math.isfinite(longest) and longest > 0):
            raise ConfigurationError(
                f"max_retry_after={self.max_retry_after!r} must be a positive number of seconds"
            )

    def backoff(self, kind: FailureKind) -> Backoff | None:
        """Return the backoff for a kind of failure."""
        backoff: Backoff | None = getattr(self, kind)
        return backoff

    @classmethod
    def never(cls) -> Self:
        """Every execution is one attempt."""
        return cls()

    @classmethod
    def standard(cls) -> Self:
        """For services: three attempts for each kind of failure, with short waits and a budget.

        A caller soon knows.
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
        """For bulk runs: throttles are waited out for ever, all else has five attempts or more.

        A throttled item gives back its permit and waits for up to 5 s at a time, for as long as
        the run lives or until its own `timeout`.
        """
        return cls(
            throttled=Backoff(wait=_jitter(0.05, 5), stop=stop_never),
            not_ready=Backoff(wait=_jitter(1, 20), stop=stop_after_attempt(10)),
            service=Backoff(wait=_jitter(0.2, 20), stop=stop_after_attempt(5)),
            transport=Backoff(wait=_jitter(0.2, 20), stop=stop_after_attempt(5)),
        )
