"""The known scopes by name, each with its gate, and which of them can be forgotten.

What callers name has no end: tenants, qualifiers, accounts. A gate is kept while something is in
flight through it or waits at it. Once idle it goes to the end of a shelf, and when the shelf is
full, what has lain there for longest is forgotten. Gates that were never throttled have a shelf of
their own, a small one, since a new gate knows all but as much as they do; so no number of them can
push out what was learnt from throttles. Each step is a move in an `OrderedDict`: it takes the same
time whatever the number of gates. (A plain dict would not do. What is deleted at its front leaves
holes there, which each look at the first entry passes again.)
"""

import random
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from asyncinvoke._limits.concurrency import ConcurrencyLimit
from asyncinvoke._limits.events import News
from asyncinvoke._limits.gates import Gate
from asyncinvoke._limits.limit import AdaptiveLimit, Limit
from asyncinvoke._model.failure import ThrottleScope
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._statistics import ScopeStatistics


class FunctionKey(NamedTuple):
    """What has limits of its own: a function with its qualifier and tenant."""

    account_id: str | None
    """The account that its ARN names; `None` for that of the credentials."""

    name: str
    """The function's name."""

    qualifier: str | None = None
    """The version or alias."""

    tenant_id: str | None = None
    """The tenant."""

    def __str__(self) -> str:
        parts = (self.account_id, self.name, self.qualifier)
        shown = ":".join(part for part in parts if part is not None)
        return shown if self.tenant_id is None else f"{shown} (tenant {self.tenant_id})"


def function_key(parameters: InvokeParameters) -> FunctionKey:
    """Return the key of what a request is addressed to."""
    target = parameters.target
    return FunctionKey(target.account_id, target.name, target.qualifier, parameters.tenant_id)


class AccountGate(Gate):
    """An account, and how many of its functions are known."""

    __slots__ = ("functions",)

    key: str

    def __init__(
        self,
        key: str,
        *,
        concurrency: ConcurrencyLimit,
        now: float,
        random: Callable[[], float],
        news: News,
    ) -> None:
        super().__init__(
            ThrottleScope.ACCOUNT, key, concurrency=concurrency, now=now, random=random, news=news
        )
        self.functions: int = 0


class FunctionGate(Gate):
    """A function; what is in flight here counts against its account too, unless it has a reserve."""

    __slots__ = ("account", "reserved", "waiting")

    key: FunctionKey

    def __init__(
        self,
        key: FunctionKey,
        account: AccountGate,
        *,
        concurrency: ConcurrencyLimit,
        now: float,
        random: Callable[[], float],
        news: News,
    ) -> None:
        super().__init__(
            ThrottleScope.FUNCTION, key, concurrency=concurrency, now=now, random=random, news=news
        )
        self.account: AccountGate = account
        self.reserved: bool = False
        self.waiting: int = 0
        """How many wait for a permit; kept by the queue."""

    def set_reserved(self, reserved: bool) -> None:
        """Count what is in flight here against the account no longer, or again; it was not so before."""
        self.reserved = reserved
        self.account.in_flight += -self.in_flight if reserved else self.in_flight


KEPT_UNTHROTTLED = 1024
"""How many idle functions are remembered that were never throttled."""

KEPT_THROTTLED = 4096
"""How many idle functions are remembered that were; the same number of idle accounts."""


class Scopes:
    """The gates of this caller, this process, the accounts and the functions.

    Args:
        limit: What each is limited to at first.
        maximum: The most that may be in flight in all.
        now: The time.
        news: Where gates say that a limit has moved.
    """

    def __init__(self, limit: Limit, *, maximum: int, now: float, news: News) -> None:
        self.adaptive: AdaptiveLimit | None = limit if isinstance(limit, AdaptiveLimit) else None
        """What follows throttles; `None` for a fixed limit, which does not."""
        self._random = random.Random().random  # noqa: S311  # spreads clients, guards nothing
        self._news = news
        self._fresh: OrderedDict[FunctionGate, None] = OrderedDict()
        self._throttled: OrderedDict[FunctionGate, None] = OrderedDict()
        self._idle_accounts: OrderedDict[str | None, None] = OrderedDict()
        self._accounts: dict[str | None, AccountGate] = {}
        self.functions: dict[FunctionKey, FunctionGate] = {}
        self.maximum: int = maximum
        self.caller: Gate = self._shared(ThrottleScope.CALLER, now)
        self.process: Gate = self._shared(ThrottleScope.PROCESS, now)

    def open(self, key: FunctionKey, *, now: float) -> FunctionGate:
        """Make a function known, idle as yet."""
        account = self._account(key.account_id, now)
        gate = FunctionGate(
            key,
            account,
            concurrency=self._concurrency(),
            now=now,
            random=self._random,
            news=self._news,
        )
        account.functions += 1
        self.functions[key] = gate
        self.shelve(gate)
        return gate

    def take(self, gate: FunctionGate) -> None:
        """Take a function from its shelf: it is idle no more."""
        del (self._throttled if gate in self._throttled else self._fresh)[gate]

    def shelve(self, gate: FunctionGate) -> None:
        """Put a function on its shelf, idle, and forget another if the shelf is full."""
        shelf, kept = self._fresh, KEPT_UNTHROTTLED
        if gate.throttles:
            shelf, kept = self._throttled, KEPT_THROTTLED
        shelf[gate] = None
        if len(shelf) > kept:
            self._forget(shelf.popitem(last=False)[0])

    def statistics(self, *, in_flight: int, waiting: int) -> tuple[ScopeStatistics, ...]:
        """Return a snapshot of every scope, given what is in flight and waits in all.

        Another thread may ask, as exporters of metrics do: so what may grow meanwhile is copied at
        once, in one step of the interpreter's.
        """
        accounts, functions = list(self._accounts.values()), list(self.functions.values())
        waits: Counter[AccountGate] = Counter()
        for gate in functions:
            waits[gate.account] += gate.waiting
        return (
            _statistics(self.caller, self.maximum, in_flight, waiting),
            _statistics(self.process, self.process.concurrency.limit, in_flight, waiting),
            *(
                _statistics(each, each.concurrency.limit, each.in_flight, waits[each])
                for each in accounts
            ),
            *(
                _statistics(each, each.concurrency.limit, each.in_flight, each.waiting)
                for each in functions
            ),
        )

    def _forget(self, gate: FunctionGate) -> None:
        key = gate.key
        del self.functions[key]
        account = gate.account
        account.functions -= 1
        if account.functions:
            return
        if not account.throttles:
            del self._accounts[key.account_id]
            return
        self._idle_accounts[key.account_id] = None
        if len(self._idle_accounts) > KEPT_THROTTLED:
            del self._accounts[self._idle_accounts.popitem(last=False)[0]]

    def _account(self, account_id: str | None, now: float) -> AccountGate:
        account = self._accounts.get(account_id)
        if account is None:
            account = AccountGate(
                account_id or "",
                concurrency=self._concurrency(),
                now=now,
                random=self._random,
                news=self._news,
            )
            self._accounts[account_id] = account
        elif not account.functions:
            del self._idle_accounts[account_id]
        return account

    def _shared(self, scope: ThrottleScope, now: float) -> Gate:
        return Gate(
            scope,
            "",
            concurrency=self._all_of_it(),
            now=now,
            random=self._random,
            news=self._news,
        )

    def _all_of_it(self) -> ConcurrencyLimit:
        # Even a fixed limit gives way to the files that there are.
        return ConcurrencyLimit(initial=self.maximum, minimum=1, maximum=self.maximum)

    def _concurrency(self) -> ConcurrencyLimit:
        most = self.maximum
        if self.adaptive is None:
            return ConcurrencyLimit(initial=most, minimum=most, maximum=most)
        return ConcurrencyLimit(
            initial=min(self.adaptive.start, most),
            minimum=min(self.adaptive.minimum, most),
            maximum=most,
        )


def _statistics(gate: Gate, limit: int, in_flight: int, waiting: int) -> ScopeStatistics:
    return ScopeStatistics(
        scope=gate.scope,
        key=str(gate.key),
        limit=limit,
        rate=None if gate.rate is None else gate.rate.rate,
        pause=gate.pause.seconds,
        in_flight=in_flight,
        waiting=waiting,
        throttles=gate.throttles,
    )
