"""The limit on attempts in flight: as configured, and as far as file descriptors allow."""

import sys
from dataclasses import dataclass
from typing import TypeAlias

from asyncinvoke._request.numbers import is_whole, whole
from asyncinvoke._request.target import show_value
from asyncinvoke.errors import ConfigurationError

INITIAL = 20
"""The default initial value of an adaptive limit: small enough for most accounts (10 for a new
one, 1,000 by default), and large enough to ramp up quickly."""


@dataclass(frozen=True, slots=True)
class FixedLimit:
    """At most `n` attempts in flight, regardless of throttling.

    Raises:
        ConfigurationError: `n` is not a whole number of at least 1.
    """

    n: int
    """The maximum number of attempts in flight."""

    def __post_init__(self) -> None:
        _check("limit", self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveLimit:
    """A limit that adapts to Lambda's throttling, per function and per account.

    It starts small, doubles with each round of responses, or rises faster, until the first throttle,
    and then stays just below what Lambda accepts.

    Raises:
        ConfigurationError: A value is not a whole number of at least 1, or the values are not in
            ascending order.
    """

    initial: int | None = None
    """The initial limit; by default 20, or `maximum` if that is smaller."""

    minimum: int = 1
    """The lower bound of the limit, regardless of throttling. If even this many attempts are
    refused, they are sent with pauses of up to 5 s."""

    maximum: int = 1000
    """The maximum number of attempts in flight, for all functions together. It is also the maximum
    number of connections."""

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
        """The effective initial limit: `initial`, or the default within the other two bounds."""
        if self.initial is not None:
            return self.initial
        return min(max(INITIAL, self.minimum), self.maximum)


Limit: TypeAlias = FixedLimit | AdaptiveLimit
"""The configuration of a limiter."""


def files_limit(soft: int, open_now: int) -> int:
    """Return how many connections a process may open, at one file descriptor each.

    An eighth of the descriptors, at least 16 and at most 64, is reserved for DNS lookups, logs, and
    whatever else the process opens.

    Args:
        soft: The soft limit on open files, from `resource.getrlimit(RLIMIT_NOFILE)`; negative for
            no limit.
        open_now: How many files are open now.
    """
    if soft < 0:
        return sys.maxsize
    reserve = min(max(soft // 8, 16), 64)
    return max(soft - open_now - reserve, 1)


def read_limit(limit: int | Limit) -> Limit:
    """Validate an invoker's `limit`; a number n means `AdaptiveLimit(maximum=n)`.

    Raises:
        ConfigurationError: It is neither a limit nor a whole number of at least 1.
    """
    if isinstance(limit, FixedLimit | AdaptiveLimit):
        return limit
    return AdaptiveLimit(maximum=_check("limit", limit))


def _check(option: str, value: int) -> int:
    if not is_whole(value, 1):
        raise ConfigurationError(f"{option} {show_value(value)} must be {whole(value, 1)}")
    return value
