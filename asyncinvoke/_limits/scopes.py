"""What a permit is held against: an account, a function, this caller; each with its limits."""

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import anyio

from asyncinvoke._limits.concurrency import ConcurrencyLimit
from asyncinvoke._limits.rate import Pause, RateLimit, RateMeter
from asyncinvoke._model.failure import ThrottleScope
from asyncinvoke._request.parameters import InvokeParameters

FunctionKey: TypeAlias = tuple[str | None, str, str | None, str | None]
"""Account (`None` for the caller's own), name, qualifier and tenant."""


def function_key(parameters: InvokeParameters) -> FunctionKey:
    """Return the key of what an parameters is addressed to."""
    target = parameters.target
    return (target.account_id, target.name, target.qualifier, parameters.tenant_id)


def show(key: FunctionKey) -> str:
    """Return a key as people read it."""
    account_id, name, qualifier, tenant_id = key
    shown = ":".join(part for part in (account_id, name, qualifier) if part is not None)
    return shown if tenant_id is None else f"{shown} (tenant {tenant_id})"


class Scope:
    """A limit on attempts in flight and, once there was a reason for it, on attempts a second."""

    __slots__ = (
        "concurrency",
        "concurrency_cut",
        "in_flight",
        "key",
        "kind",
        "meter",
        "pause",
        "rate",
        "rate_cut",
        "throttles",
    )

    def __init__(
        self,
        kind: ThrottleScope,
        key: str,
        *,
        concurrency: ConcurrencyLimit,
        now: float,
        random: Callable[[], float],
    ) -> None:
        self.kind = kind
        self.key = key
        self.concurrency = concurrency
        self.rate: RateLimit | None = None
        self.meter = RateMeter(now=now)
        self.pause = Pause(random)
        self.in_flight = 0
        self.throttles = 0
        # Throttles of permits up to these numbers belong to a burst that was answered already.
        self.concurrency_cut = 0
        self.rate_cut = 0

    def opens_at(self, now: float) -> float:
        """Return the time before which nothing may start here; not later than `now` for none."""
        if self.rate is None:
            return self.pause.until
        return max(self.pause.until, self.rate.opens_at(now))

    @property
    def is_timed(self) -> bool:
        """Whether the clock has a say in it."""
        return self.rate is not None or self.pause.seconds > 0

    @property
    def may_grow(self) -> bool:
        """Whether its limit on attempts in flight may rise."""
        return self.concurrency.limit < self.concurrency.maximum and not self.pause.seconds

    def describe(self, now: float) -> str | None:
        """Say what keeps permits back here, if anything does."""
        name = f"{self.kind} {self.key}".strip()
        if self.pause.until > now:
            return f"{name} has a limit of {self.concurrency.limit} and pauses"
        if self.rate is not None and self.rate.opens_at(now) > now:
            return f"{name} has a limit of {self.rate.rate:.3g} a second"
        if self.in_flight >= self.concurrency.limit:
            return f"{name} has a limit of {self.concurrency.limit}"
        return None


class FunctionScope(Scope):
    """A function, with those who wait for it and the account that it belongs to."""

    __slots__ = ("account", "is_closed", "is_queued", "reserved", "waiters", "waiting")

    def __init__(
        self,
        key: str,
        account: Scope,
        *,
        concurrency: ConcurrencyLimit,
        now: float,
        random: Callable[[], float],
    ) -> None:
        super().__init__(
            ThrottleScope.FUNCTION, key, concurrency=concurrency, now=now, random=random
        )
        self.account = account
        self.reserved = False
        self.waiters: deque[Waiter] = deque()
        self.waiting = 0
        self.is_queued = False
        self.is_closed = False

    def set_reserved(self, reserved: bool) -> None:
        """Count what is in flight here against the account, or no longer."""
        if reserved != self.reserved:
            self.reserved = reserved
            self.account.in_flight += -self.in_flight if reserved else self.in_flight

    def next_waiter(self) -> "Waiter | None":
        """Return the first who still waits."""
        while self.waiters and self.waiters[0].has_left:
            self.waiters.popleft()
        return self.waiters[0] if self.waiters else None


class Waiter:
    """One who waits for a permit. The event wakes it, with a permit or to keep the time."""

    __slots__ = ("event", "has_left", "permit", "scope")

    def __init__(self, scope: FunctionScope) -> None:
        self.scope = scope
        self.event = anyio.Event()
        self.permit: Permit | None = None
        self.has_left = False


class Permit:
    """The right to one attempt, with what was in flight before it."""

    __slots__ = ("ahead", "ahead_in_account", "number", "scope")

    def __init__(
        self, scope: FunctionScope, number: int, ahead: int, ahead_in_account: int
    ) -> None:
        self.scope = scope
        self.number = number
        self.ahead = ahead
        self.ahead_in_account = ahead_in_account
