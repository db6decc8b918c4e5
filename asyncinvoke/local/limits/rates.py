"""Rate limits: requests per second, and how fast a function may scale up.

No I/O, no clock: the time is passed in. Each rate is a bucket of tokens that refills steadily.
"""

import math

from asyncinvoke.local.numbers import number, whole_number

REQUESTS_PER_CONCURRENCY = 10
"""The maximum requests per second for each unit of a function's concurrency (AWS's quota)."""

SCALING_INTERVAL = 10.0
"""The seconds that the scaling rate refers to (AWS's documentation)."""


class Bucket:
    """A token bucket whose rate and capacity may change; full at first."""

    def __init__(self) -> None:
        self._tokens = math.inf
        self._updated = 0.0

    def take(self, now: float, *, rate: float, capacity: float) -> bool:
        """Take a token; return whether there was one.

        Args:
            now: The time in seconds; never before that of the last call.
            rate: Tokens added per second.
            capacity: The maximum number of tokens.
        """
        tokens = min(capacity, self._tokens + (now - self._updated) * rate)
        self._updated = now
        has_one = tokens >= 1
        self._tokens = tokens - has_one
        return has_one


class Rates:
    """The rate limits of one endpoint; all are off by default."""

    def __init__(self) -> None:
        self.is_request_rate_limited = False
        """Whether functions are limited to ten requests per second per unit of concurrency."""
        self._caller_rate: float | None = None
        self._scaling_rate: int | None = None
        self._caller = Bucket()
        self._requests: dict[str, Bucket] = {}
        self._growth: dict[str, Bucket] = {}
        self._environments: dict[str, int] = {}

    @property
    def caller_rate(self) -> float | None:
        """The maximum requests per second of all callers; None for no limit."""
        return self._caller_rate

    @caller_rate.setter
    def caller_rate(self, rate: float | None) -> None:
        if rate is not None:
            rule = "a number above 0, or None"
            number("caller_rate", rate, lambda value: 0 < value < math.inf, rule)
        self._caller_rate = rate

    @property
    def scaling_rate(self) -> int | None:
        """The maximum number of new environments of a function in 10 s; None for no limit."""
        return self._scaling_rate

    @scaling_rate.setter
    def scaling_rate(self, rate: int | None) -> None:
        self._scaling_rate = rate if rate is None else whole_number("scaling_rate", rate, least=1)

    def take_caller(self, now: float) -> bool:
        """Count a request of any caller; return whether it is within the rate."""
        rate = self._caller_rate
        return rate is None or self._caller.take(now, rate=rate, capacity=max(1, rate))

    def take_request(self, name: str, concurrency: int, now: float) -> bool:
        """Count a request for a function; return whether it is within the rate.

        With a concurrency of 0, the concurrency limit throttles it.
        """
        if not self.is_request_rate_limited or not concurrency:
            return True
        bucket = self._requests.setdefault(name, Bucket())
        rate = REQUESTS_PER_CONCURRENCY * concurrency
        return bucket.take(now, rate=rate, capacity=rate)

    def grow(self, name: str, executions: int, now: float) -> bool:
        """Return whether a function may scale up to a number of concurrent executions.

        Its environments are the maximum of executions so far, so one more is a new environment.
        """
        rate = self._scaling_rate
        if rate is None or executions <= self._environments.get(name, 0):
            return True
        bucket = self._growth.setdefault(name, Bucket())
        if not bucket.take(now, rate=rate / SCALING_INTERVAL, capacity=rate):
            return False
        self._environments[name] = executions
        return True
