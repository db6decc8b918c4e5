"""Limits: what may start now, and the reason if not.

No I/O, no clock: the time is passed in. The account's concurrency minus everything reserved is
one pool that all unreserved functions share; a function with reserved concurrency has a pool of its
own. `rates` holds the limits that count time.
"""

import threading
from collections import Counter

from asyncinvoke._model.failure import ThrottleReason
from asyncinvoke.local.limits.rates import Rates
from asyncinvoke.local.numbers import whole_number

_SHARED = (
    ThrottleReason.FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED,
    ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED,
)
_RESERVED = (
    ThrottleReason.RESERVED_FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED,
    ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED,
)


class Admission:
    """Counts permits; never waits. Users set limits from any thread, hence the lock.

    Args:
        account_concurrency: Executions that may run at once in all functions together.
    """

    def __init__(self, account_concurrency: int) -> None:
        self._account = whole_number("account_concurrency", account_concurrency)
        self._reserved: dict[str, int] = {}
        self._in_flight: Counter[str] = Counter()
        self._unreserved_in_flight = 0
        self._lock = threading.Lock()
        self.rates: Rates = Rates()
        """The limits that count time; each is off until it is set."""

    @property
    def account_concurrency(self) -> int:
        """Executions that may run at once. What runs already is never interrupted by lowering it.

        Raises:
            ValueError: On setting it below what functions have reserved.
        """
        return self._account

    @account_concurrency.setter
    def account_concurrency(self, limit: int) -> None:
        with self._lock:
            self._check_reserves(self._reserved, whole_number("account_concurrency", limit))
            self._account = limit

    @property
    def unreserved(self) -> int:
        """What of the account's concurrency no function has reserved."""
        return self._account - sum(self._reserved.values())

    def reserved(self, name: str) -> int | None:
        """Return a function's reserved concurrency, None when it shares the account's."""
        return self._reserved.get(name)

    def reserve(self, name: str, limit: int | None) -> None:
        """Give a function a pool of its own, or with None put it back into the shared one.

        Raises:
            ValueError: All reserves together would exceed the account's concurrency.
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
        """Return the reason why a request is not even looked at, None if it is."""
        if self.rates.caller_rate is None:
            return None
        with self._lock:
            taken = self.rates.take_caller(now)
        return None if taken else ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED

    def admit(self, name: str, now: float) -> ThrottleReason | None:
        """Take a permit, or return the reason why there is none.

        AWS has not said in which order it looks at its limits, nor which reason a function gets that
        would grow too fast; here the rate comes first, and growth gives the concurrency's reason.
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
        """Give back a permit that `admit` gave."""
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
