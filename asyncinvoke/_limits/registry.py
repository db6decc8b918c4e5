"""The scopes that an invoker knows: this caller, its accounts, their functions."""

import random
from collections.abc import Iterator

from asyncinvoke._clock import Clock
from asyncinvoke._limits.concurrency import ConcurrencyLimit
from asyncinvoke._limits.limit import AdaptiveLimit, Limit
from asyncinvoke._limits.scopes import FunctionKey, FunctionScope, Scope, show
from asyncinvoke._model.failure import ThrottleScope
from asyncinvoke._statistics import ScopeStatistics

KEPT_FUNCTIONS = 1024
"""How many functions are remembered before those that are idle and unthrottled are forgotten."""


class Registry:
    """Opens a scope where it is first needed."""

    def __init__(self, limit: Limit, *, clock: Clock) -> None:
        self.adaptive = limit if isinstance(limit, AdaptiveLimit) else None
        self.maximum = limit.maximum if isinstance(limit, AdaptiveLimit) else limit.n
        self._clock = clock
        self._random = random.Random().random  # noqa: S311  # spreads clients, guards nothing
        self._accounts: dict[str | None, Scope] = {}
        self.functions: dict[FunctionKey, FunctionScope] = {}
        self.caller = self._new_scope(ThrottleScope.CALLER, "")

    def __iter__(self) -> Iterator[Scope]:
        yield self.caller
        yield from self._accounts.values()
        yield from self.functions.values()

    def open(self, key: FunctionKey) -> FunctionScope:
        """Make a function known."""
        if len(self.functions) >= KEPT_FUNCTIONS:
            self._forget()
        account = self._accounts.get(key[0])
        if account is None:
            account = self._new_scope(ThrottleScope.ACCOUNT, key[0] or "")
            self._accounts[key[0]] = account
        scope = FunctionScope(
            show(key),
            account,
            concurrency=self._new_concurrency(),
            now=self._clock.monotonic(),
            random=self._random,
        )
        self.functions[key] = scope
        return scope

    def statistics(self, *, in_flight: int, waiting: int) -> tuple[ScopeStatistics, ...]:
        """Return a snapshot of every scope, given what is in flight and waits in all."""
        in_account = dict.fromkeys(self._accounts.values(), 0)
        for scope in self.functions.values():
            in_account[scope.account] += scope.waiting
        return (
            _statistics(self.caller, self.maximum, in_flight, waiting),
            *(
                _statistics(scope, scope.concurrency.limit, scope.in_flight, waits)
                for scope, waits in in_account.items()
            ),
            *(
                _statistics(scope, scope.concurrency.limit, scope.in_flight, scope.waiting)
                for scope in self.functions.values()
            ),
        )

    def _forget(self) -> None:
        for key, scope in list(self.functions.items()):
            if not (scope.in_flight or scope.is_queued or scope.throttles):
                del self.functions[key]

    def _new_scope(self, kind: ThrottleScope, key: str) -> Scope:
        return Scope(
            kind,
            key,
            concurrency=self._new_concurrency(),
            now=self._clock.monotonic(),
            random=self._random,
        )

    def _new_concurrency(self) -> ConcurrencyLimit:
        most = self.maximum
        if self.adaptive is None:
            return ConcurrencyLimit(initial=most, minimum=most, maximum=most)
        return ConcurrencyLimit(
            initial=min(self.adaptive.start, most),
            minimum=min(self.adaptive.minimum, most),
            maximum=most,
        )


def _statistics(scope: Scope, limit: int, in_flight: int, waiting: int) -> ScopeStatistics:
    return ScopeStatistics(
        scope=scope.kind,
        key=scope.key,
        limit=limit,
        rate=None if scope.rate is None else scope.rate.rate,
        pause=scope.pause.seconds,
        in_flight=in_flight,
        waiting=waiting,
        throttles=scope.throttles,
    )
