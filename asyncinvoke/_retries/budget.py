"""How many retries a function may cost, so that a broken one is not hammered."""

import math
from collections.abc import Hashable
from dataclasses import dataclass

from asyncinvoke._recent import Recent
from asyncinvoke.errors import ConfigurationError

MOST_BALANCES = 4096
"""How many functions have their balance remembered, at least. One that is forgotten starts with a full balance."""


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

    def __repr__(self) -> str:
        return f"<Balance {self._retries:.1f} of {self._budget.burst:g} retries>"


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
