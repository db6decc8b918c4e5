"""Limits of the endpoint: whether an execution may start now, and the throttle reason if not.

No I/O, no clock: the time is passed in. The account's concurrency minus everything reserved is
one pool that all unreserved functions share; a function with reserved concurrency has a pool of its
own. Each rate is a bucket of tokens that refills steadily.
"""

import math
import threading
from collections import Counter

from asyncinvoke._model.failure import ThrottleReason
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


_SHARED = (
    ThrottleReason.FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED,
    ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED,
)
_RESERVED = (
    ThrottleReason.RESERVED_FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED,
    ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED,
)


class Admission:
    """Counts permits; never waits. Limits may be set from any thread, hence the lock.

    Args:
        account_concurrency: The maximum number of concurrent executions of all functions.
    """

    def __init__(self, account_concurrency: int) -> None:
        self._account = whole_number("account_concurrency", account_concurrency)
        self._reserved: dict[str, int] = {}
        self._in_flight: Counter[str] = Counter()
        self._unreserved_in_flight = 0
        self._lock = threading.Lock()
        self.rates: Rates = Rates()
        """The rate limits; all are off by default."""

    @property
    def account_concurrency(self) -> int:
        """The maximum number of concurrent executions; lowering it interrupts nothing.

        Raises:
            ValueError: It is set below the sum of the reserved concurrency.
        """
        return self._account

    @account_concurrency.setter
    def account_concurrency(self, limit: int) -> None:
        with self._lock:
            self._check_reserves(self._reserved, whole_number("account_concurrency", limit))
            self._account = limit

    @property
    def unreserved(self) -> int:
        """The part of the account's concurrency that is not reserved."""
        return self._account - sum(self._reserved.values())

    def reserved(self, name: str) -> int | None:
        """Return a function's reserved concurrency; None if it shares the account's."""
        return self._reserved.get(name)

    def reserve(self, name: str, limit: int | None) -> None:
        """Set a function's reserved concurrency; None returns it to the shared pool.

        Raises:
            ValueError: The sum of all reserves would exceed the account's concurrency.
        """
        with self._lock:
            reserves = {key: value for key, value in self._reserved.items() if key != name}
            if limit is not None:
                reserves[name] = whole_number("reserved_concurrency", limit)
            self._check_reserves(reserves, self._account)
            self._unreserved_in_flight += self._in_flight[name] * (
                (name in self._reserved) - (name in reserves)
            )
            self._reserved = reserves

    def admit_caller(self, now: float) -> ThrottleReason | None:
        """Return the reason why the caller is throttled; None if it is not."""
        if self.rates.caller_rate is None:
            return None
        with self._lock:
            taken = self.rates.take_caller(now)
        return None if taken else ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED

    def admit(self, name: str, now: float) -> ThrottleReason | None:
        """Acquire a permit and return None, or return the throttle reason.

        AWS documents neither the order of its limits nor the reason for a function that scales too
        fast. Here the request rate is checked first, and scaling has the reason of concurrency.
        """
        with self._lock:
            reserve = self._reserved.get(name)
            if reserve is None:
                limit = self._account - sum(self._reserved.values())
                running, (too_fast, too_many) = self._unreserved_in_flight, _SHARED
            else:
                limit, running, (too_fast, too_many) = reserve, self._in_flight[name], _RESERVED
            rates = self.rates
            if not rates.take_request(name, limit, now):
                return too_fast
            if running >= limit or not rates.grow(name, self._in_flight[name] + 1, now):
                return too_many
            self._unreserved_in_flight += reserve is None
            self._in_flight[name] += 1
            return None

    def release(self, name: str) -> None:
        """Release a permit acquired by `admit`."""
        with self._lock:
            if not self._in_flight[name]:
                raise RuntimeError(f"{name} holds no permit")
            self._in_flight[name] -= 1
            if name not in self._reserved:
                self._unreserved_in_flight -= 1

    @staticmethod
    def _check_reserves(reserves: dict[str, int], account: int) -> None:
        total = sum(reserves.values())
        if total > account:
            raise ValueError(
                f"{total} reserved for functions is more than account_concurrency={account}"
            )
