"""Concurrency limits: who may start now, and why not.

Pure and synchronous. The account's concurrency minus everything reserved is one pool that all
unreserved functions share; a function with reserved concurrency has a pool of its own.
"""

import threading
from collections import Counter

from asyncinvoke.model.throttling import ThrottleReason


class Admission:
    """Counts permits; never waits. Users set limits from any thread, hence the lock.

    Args:
        account_concurrency: Executions that may run at once in all functions together.
    """

    def __init__(self, account_concurrency: int) -> None:
        self._account = _checked("account_concurrency", account_concurrency)
        self._reserved: dict[str, int] = {}
        self._in_flight: Counter[str] = Counter()
        self._unreserved_in_flight = 0
        self._lock = threading.Lock()

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
            self._check_reserves(self._reserved, _checked("account_concurrency", limit))
            self._account = limit

    def reserved(self, name: str) -> int | None:
        """Give a function's reserved concurrency, None when it shares the account's."""
        return self._reserved.get(name)

    def reserve(self, name: str, limit: int | None) -> None:
        """Give a function a pool of its own, or with None put it back into the shared one.

        Raises:
            ValueError: If all reserves together would exceed the account's concurrency.
        """
        with self._lock:
            reserves = {key: value for key, value in self._reserved.items() if key != name}
            if limit is not None:
                reserves[name] = _checked("reserved_concurrency", limit)
            self._check_reserves(reserves, self._account)
            self._unreserved_in_flight += self._in_flight[name] * (
                (name in self._reserved) - (name in reserves)
            )
            self._reserved = reserves

    def admit(self, name: str) -> ThrottleReason | None:
        """Take a permit and give None, or give the reason why there is none."""
        with self._lock:
            reserve = self._reserved.get(name)
            if reserve is not None:
                if self._in_flight[name] >= reserve:
                    return ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED
            elif self._unreserved_in_flight >= self._account - sum(self._reserved.values()):
                return ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED
            else:
                self._unreserved_in_flight += 1
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


def _checked(option: str, limit: int) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise ValueError(f"{option}={limit!r} must be a whole number, 0 or more")
    return limit
