"""How many retries a function may cost, so that a broken one is not hammered."""

import math
from dataclasses import dataclass

from asyncinvoke.errors import ConfigurationError


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
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= least):
                raise ConfigurationError(f"{name} {value!r} must be a number from {least}")


class Balance:
    """What one function has left of a budget; time is passed in."""

    __slots__ = ("_budget", "_retries", "_settled")

    def __init__(self, budget: RetryBudget, *, now: float) -> None:
        self._budget = budget
        self._retries = float(budget.burst)
        self._settled = now

    def earn(self) -> None:
        """Count an execution."""
        self._retries = min(self._budget.burst, self._retries + self._budget.ratio)

    def spend(self, *, now: float) -> bool:
        """Pay for a retry, or return `False` if it is not covered."""
        earned = max(0.0, now - self._settled) * self._budget.per_second
        self._retries = min(self._budget.burst, self._retries + earned)
        self._settled = now
        if self._retries < 1:
            return False
        self._retries -= 1
        return True

    def __repr__(self) -> str:
        return f"<Balance {self._retries:.1f} of {self._budget.burst:g} retries>"
