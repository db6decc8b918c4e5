"""The limit on attempts in flight: as configured, and as far as file descriptors allow."""

import sys
from dataclasses import dataclass
from typing import TypeAlias

from asyncinvoke._request.numbers import is_whole, whole
from asyncinvoke._request.target import show_value
from asyncinvoke.errors import ConfigurationError

INITIAL = 20
"""Where an adaptive limit starts by default: it has to be small beside the smallest
account (10 on a new one, 1,000 by default) and large enough to get anywhere soon."""


@dataclass(frozen=True, slots=True)
class FixedLimit:
    """At most `n` attempts in flight, whatever happens.

    Raises:
        ConfigurationError: `n` is not a whole number from 1.
    """

    n: int
    """The number of attempts."""

    def __post_init__(self) -> None:
        _check("limit", self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveLimit:
    """A limit that follows what Lambda throttles, for each function and for the account.

    It starts small, doubles for each round of answers until the first throttle, and from then on
    stays just under what Lambda takes.

    Raises:
        ConfigurationError: A value is not a whole number from 1, or they are not in order.
    """

    initial: int | None = None
    """How many attempts to start with; by default 20, or `maximum` if that is less."""

    minimum: int = 1
    """How many to keep in flight whatever is throttled; if even these are refused, with pauses of
    up to 5 s."""

    maximum: int = 1000
    """How many may be in flight in all, those of all functions together. It is also the number of
    connections."""

    def __post_init__(self) -> None:
        _check("minimum", self.minimum)
        _check("maximum", self.maximum)
        if self.initial is not None:
            _check("initial", self.initial)
        if not self.minimum <= self.start <= self.maximum:
            raise ConfigurationError(
                f"minimum {self.minimum}, initial {self.start} and maximum {self.maximum} "
                "must be in ascending order"
            )

    @property
    def start(self) -> int:
        """What it starts with: `initial`, or the default for the other two."""
        if self.initial is not None:
            return self.initial
        return min(max(INITIAL, self.minimum), self.maximum)


Limit: TypeAlias = FixedLimit | AdaptiveLimit
"""What the limiter is built from."""


def files_limit(soft: int, open_now: int) -> int:
    """Return how many connections a process may open: one file each, with some left for the rest.

    An eighth is left, at least 16 and at most 64, for names being looked up, logs, and whatever else
    the process opens.

    Args:
        soft: How many files it may have open, as `resource.getrlimit(RLIMIT_NOFILE)` says; negative
            for no limit.
        open_now: How many it has open.
    """
    if soft < 0:
        return sys.maxsize
    reserve = min(max(soft // 8, 16), 64)
    return max(soft - open_now - reserve, 1)


def read_limit(limit: int | Limit) -> Limit:
    """Read what an invoker is given: a number n means `AdaptiveLimit(maximum=n)`.

    Raises:
        ConfigurationError: It is neither a limit nor a whole number from 1.
    """
    if isinstance(limit, FixedLimit | AdaptiveLimit):
        return limit
    return AdaptiveLimit(maximum=_check("limit", limit))


def _check(option: str, value: int) -> int:
    if not is_whole(value, 1):
        raise ConfigurationError(f"{option} {show_value(value)} must be {whole(value, 1)}")
    return value
