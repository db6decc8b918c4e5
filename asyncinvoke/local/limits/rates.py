"""Rates: how fast requests may arrive, and how fast a function may scale up.

No I/O, no clock: the time is passed in. Each rate is a bucket of tokens that refills steadily.
"""

import math

from asyncinvoke.local.numbers import whole_number

REQUESTS_PER_CONCURRENCY = 10
"""Requests per second that a function takes for each unit of its concurrency (AWS's quota)."""

SCALING_INTERVAL = 10.0
"""Seconds in which a function gains its scaling rate's environments (AWS's documentation)."""


class Bucket:
    """Tokens that come back at a rate which may change; full at first."""

    def __init__(self) -> None:
        self._tokens = math.inf
        self._updated = 0.0

    def take(self, now: float, *, rate: float, capacity: float) -> bool:
        """Take a token if there is one.

        Args:
            now: The time in seconds; never less than the last time.
            rate: Tokens that come back per second.
            capacity: The most tokens that it holds.
        """
        tokens = min(capacity, self._tokens + (now - self._updated) * rate)
        self._updated = now
        has_one = tokens >= 1
        self._tokens = tokens - has_one
        return has_one


class Rates:
    """The rates of one endpoint; each is off until it is set."""

    def __init__(self) -> None:
        self.is_request_rate_limited = False
        """Whether a function takes only ten requests per second for each unit of concurrency."""
        self._caller_rate: float | None = None
        self._scaling_rate: int | None = None
        self._caller = Bucket()
        self._requests: dict[str, Bucket] = {}
        self._growth: dict[str, Bucket] = {}
        self._environments: dict[str, int] = {}

    @property
    def caller_rate(self) -> float | None:
        """Requests per second that the endpoint takes; None for any number."""
        return self._caller_rate

    @caller_rate.setter
    def caller_rate(self, rate: float | None) -> None:
        if rate is not None and not (isinstance(rate, int | float) and 0 < rate < math.inf):
            raise ValueError(f"caller_rate={rate!r} must be a number above 0, or None")
        self._caller_rate = rate

    @property
    def scaling_rate(self) -> int | None:
        """Environments that a function may gain in 10 s; None for any number."""
        return self._scaling_rate

    @scaling_rate.setter
    def scaling_rate(self, rate: int | None) -> None:
        self._scaling_rate = rate if rate is None else whole_number("scaling_rate", rate, least=1)

    def take_caller(self, now: float) -> bool:
        """Take one more request at the endpoint; return whether it may be."""
        rate = self._caller_rate
        return rate is None or self._caller.take(now, rate=rate, capacity=max(1, rate))

    def take_request(self, name: str, concurrency: int, now: float) -> bool:
        """Take one more request at a function; return whether it may be.

        A concurrency of 0 is not a rate's business.
        """
        if not self.is_request_rate_limited or not concurrency:
            return True
        bucket = self._requests.setdefault(name, Bucket())
        rate = REQUESTS_PER_CONCURRENCY * concurrency
        return bucket.take(now, rate=rate, capacity=rate)

    def grow(self, name: str, executions: int, now: float) -> bool:
        """Let a function run so many executions at once; return whether it may.

        Its environments are the most executions that it ever ran at once; one more is a gain.
        """
        rate = self._scaling_rate
        if rate is None or executions <= self._environments.get(name, 0):
            return True
        bucket = self._growth.setdefault(name, Bucket())
        if not bucket.take(now, rate=rate / SCALING_INTERVAL, capacity=rate):
            return False
        self._environments[name] = executions
        return True
