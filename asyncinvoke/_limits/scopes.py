"""The known scopes by name, each with its gate, and which of them can be forgotten.

The set of names is unbounded: tenants, qualifiers, accounts. A gate is kept while it has attempts
in flight or waiters. Once idle it moves to the end of an LRU cache, whose oldest entry is evicted
when it is full. Gates that were never throttled have their own, smaller cache, since a new gate
knows nearly as much as they do; so they cannot evict what was learned from throttles. Each step is
an `OrderedDict` operation in constant time. (A plain dict would not do: deletions at its front
leave holes, which every lookup of the first entry has to skip.)
"""

import random
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from asyncinvoke._limits.concurrency import ConcurrencyLimit
from asyncinvoke._limits.events import LimitEvents
from asyncinvoke._limits.gates import Gate
from asyncinvoke._limits.limit import AdaptiveLimit, Limit
from asyncinvoke._model.failure import ThrottleScope
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._statistics import ScopeStatistics


class FunctionKey(NamedTuple):
    """The unit that has its own limits: a function with its qualifier and tenant."""

    account_id: str | None
    """The account in the ARN; `None` for the account of the credentials."""

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
    """Return the key of the function a request is addressed to."""
    target = parameters.target
    return FunctionKey(target.account_id, target.name, target.qualifier, parameters.tenant_id)


class AccountGate(Gate):
    """An account, and how many of its functions are tracked."""

    __slots__ = ("functions",)

    key: str

    def __init__(
        self,
        key: str,
        *,
        concurrency: ConcurrencyLimit,
        now: float,
        random: Callable[[], float],
        events: LimitEvents,
    ) -> None:
        super().__init__(
            ThrottleScope.ACCOUNT,
            key,
            concurrency=concurrency,
            now=now,
            random=random,
            events=events,
        )
        self.functions: int = 0


class FunctionGate(Gate):
    """A function; its attempts count against its account, unless its concurrency is reserved."""

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
        events: LimitEvents,
    ) -> None:
        super().__init__(
            ThrottleScope.FUNCTION,
            key,
            concurrency=concurrency,
            now=now,
            random=random,
            events=events,
        )
        self.account: AccountGate = account
        self.reserved: bool = False
        self.waiting: int = 0
        """The number of waiters; maintained by the queue."""


KEPT_UNTHROTTLED = 1024
"""How many idle functions are cached that were never throttled."""

KEPT_THROTTLED = 4096
"""How many idle functions are cached that were throttled, and how many idle accounts."""


class Scopes:
    """The gates of this caller, this process, the accounts and the functions.

    Args:
        limit: The initial limit of each gate.
        maximum: The maximum number of attempts in flight overall.
        now: The current time.
        events: The queue for limit changes.
    """

    def __init__(self, limit: Limit, *, maximum: int, now: float, events: LimitEvents) -> None:
        self.adaptive: AdaptiveLimit | None = limit if isinstance(limit, AdaptiveLimit) else None
        """The adaptive limit; `None` if the limit is fixed."""
        self._random = random.Random().random  # noqa: S311  # spreads clients, guards nothing
        self._events = events
        self.idle: OrderedDict[FunctionGate, None] = OrderedDict()
        """The idle functions that were never throttled, in the order in which they became idle."""
        self.idle_throttled: OrderedDict[FunctionGate, None] = OrderedDict()
        """Those that were; `Books` maintains both."""
        self._idle_accounts: OrderedDict[str | None, None] = OrderedDict()
        self._accounts: dict[str | None, AccountGate] = {}
        self.functions: dict[FunctionKey, FunctionGate] = {}
        self.maximum: int = maximum
        self.caller: Gate = self._shared(ThrottleScope.CALLER, now)
        self.process: Gate = self._shared(ThrottleScope.PROCESS, now)

    def open(self, key: FunctionKey, *, now: float) -> FunctionGate:
        """Start tracking a function."""
        account = self._account(key.account_id, now)
        gate = FunctionGate(
            key,
            account,
            concurrency=self._concurrency(),
            now=now,
            random=self._random,
            events=self._events,
        )
        account.functions += 1
        self.functions[key] = gate
        return gate

    def statistics(self, *, in_flight: int, waiting: int) -> tuple[ScopeStatistics, ...]:
        """Return a snapshot of every scope, given the totals in flight and waiting.

        It may be called from another thread, as metrics exporters do. So collections that may
        change concurrently are copied first, in a single interpreter operation.
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

    def forget(self, gate: FunctionGate) -> None:
        """Stop tracking an idle function; its account stays known for longer if it was throttled."""
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
                events=self._events,
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
            events=self._events,
        )

    def _all_of_it(self) -> ConcurrencyLimit:
        # Even a fixed limit is bounded by the available file descriptors.
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
