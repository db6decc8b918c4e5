"""Permits: how many attempts may be in flight, and who is next."""

from collections import deque
from itertools import chain

import anyio

from asyncinvoke._clock import SYSTEM_CLOCK, Clock
from asyncinvoke._limits.events import Hook
from asyncinvoke._limits.feedback import Feedback
from asyncinvoke._limits.limit import Limit
from asyncinvoke._limits.registry import Registry
from asyncinvoke._limits.scopes import FunctionKey, FunctionScope, Permit, Waiter
from asyncinvoke._model.failure import ThrottleReason
from asyncinvoke._statistics import ScopeStatistics

GROWTH_TICK = 0.05
"""How often limits may grow by time alone while somebody waits, in seconds."""


class Limiter:
    """Hands out permits, each held against its function, its account and the whole.

    Within a function they are handed out in the order in which they are asked for. Functions take
    turns, and one that is closed lets the others pass. A permit that is free is taken without a
    switch of tasks.
    """

    def __init__(
        self, limit: Limit, *, clock: Clock = SYSTEM_CLOCK, hooks: tuple[Hook, ...] = ()
    ) -> None:
        self._registry = Registry(limit, clock=clock)
        self._feedback = Feedback(self._registry, hooks)
        self._clock = clock
        self.in_flight = 0
        self.waiting = 0
        self._number = 0
        # Whoever waits is in one of these two: those looked at whenever something is given back,
        # and those at their own limit, looked at when they give something back themselves.
        self._queue: deque[FunctionScope] = deque()
        self._closed: set[FunctionScope] = set()
        self._is_timed = False
        self._timekeeper: Waiter | None = None
        self._wakes_at = 0.0

    @property
    def limit(self) -> int:
        """The most permits that are ever held at once."""
        return self._registry.maximum

    @limit.setter
    def limit(self, limit: int) -> None:
        self._registry.maximum = limit

    async def acquire(self, key: FunctionKey) -> Permit:
        """Take a permit for a function, after all who asked for the same one before."""
        scope = self._registry.functions.get(key) or self._registry.open(key)
        if not (scope.waiting or (self.waiting and self._is_timed)) and self._may_start(scope):
            return self._grant(scope)
        return await self._wait(scope)

    is_closed = False

    def close(self) -> None:
        self.is_closed = True

    def permit(self, key: FunctionKey, *, deadline: float = float("inf")) -> "_Held":
        return _Held(self, key, deadline)

    def succeeded(self, permit: Permit) -> None:
        """Return a permit back whose attempt was admitted."""
        self._feedback.succeeded(permit, now=self._clock.monotonic())
        self._give_back(permit.scope)

    def ignored(self, permit: Permit) -> None:
        """Return a permit back whose attempt says nothing about limits."""
        self._give_back(permit.scope)

    def throttled(self, permit: Permit, reason: ThrottleReason) -> None:
        """Return a permit back whose attempt was throttled."""
        now = self._clock.monotonic()
        self._is_timed |= self._feedback.throttled(
            permit, reason, now=now, last_number=self._number
        )
        self._give_back(permit.scope)
        self._keep_time()

    def opens_at(self, key: FunctionKey) -> float:
        """Return the time before which no permit for a function will be handed out."""
        scope = self._registry.functions.get(key)
        if scope is None or not self._is_timed:
            return 0.0
        return self._opens_at(scope, self._clock.monotonic())

    def describe(self, key: FunctionKey) -> str | None:
        """Say what keeps a function's permits back, with its present limit, if anything does."""
        scope = self._registry.functions.get(key)
        if scope is not None:
            now = self._clock.monotonic()
            for each in (self._registry.caller, scope.account, scope):
                said = None if each is scope.account and scope.reserved else each.describe(now)
                if said is not None:
                    return said
        return f"the limit is {self.limit}" if self.in_flight >= self.limit else None

    def statistics(self) -> tuple[ScopeStatistics, ...]:
        """Return a snapshot of every scope: the caller, the accounts, the functions."""
        return self._registry.statistics(in_flight=self.in_flight, waiting=self.waiting)

    def __repr__(self) -> str:
        return f"<Limiter {self.in_flight}/{self.limit} in flight, {self.waiting} waiting>"

    def _may_start(self, scope: FunctionScope) -> bool:
        if self.in_flight >= self._registry.maximum:
            return False
        if scope.in_flight >= scope.concurrency.limit:
            return False
        account = scope.account
        if account.in_flight >= account.concurrency.limit and not scope.reserved:
            return False
        if not self._is_timed:
            return True
        now = self._clock.monotonic()
        return self._opens_at(scope, now) <= now

    def _opens_at(self, scope: FunctionScope, now: float) -> float:
        opens = max(scope.opens_at(now), self._registry.caller.opens_at(now))
        return opens if scope.reserved else max(opens, scope.account.opens_at(now))

    def _grant(self, scope: FunctionScope) -> Permit:
        self._number += 1
        permit = Permit(scope, self._number, scope.in_flight, scope.account.in_flight)
        if not scope.in_flight:
            scope.meter.roll(self._clock.monotonic())
        self.in_flight += 1
        scope.in_flight += 1
        if not scope.reserved:
            scope.account.in_flight += 1
        scope.meter.accepted += 1
        self._registry.caller.meter.accepted += 1
        if self._is_timed:
            now = self._clock.monotonic()
            for rate in (scope.rate, self._registry.caller.rate):
                if rate is not None:
                    rate.take(now)
        return permit

    def _give_back(self, scope: FunctionScope) -> None:
        self.in_flight -= 1
        scope.in_flight -= 1
        if not scope.reserved:
            scope.account.in_flight -= 1
        if scope.is_closed:
            self._reopen(scope)
        if self.waiting:
            self._dispatch()

    def _reopen(self, scope: FunctionScope) -> None:
        scope.is_closed = False
        self._closed.remove(scope)
        self._queue.append(scope)

    def _dispatch(self) -> None:
        """Hand out what is free, one permit to each function in turn."""
        untried = len(self._queue)
        while untried and self.in_flight < self._registry.maximum:
            scope = self._queue.popleft()
            waiter = scope.next_waiter()
            if waiter is None:
                scope.is_queued = False
            elif self._may_start(scope):
                scope.waiters.popleft()
                self._leave(waiter)
                waiter.permit = self._grant(scope)
                waiter.event.set()
                self._queue.append(scope)
                untried = len(self._queue)
                continue
            elif scope.in_flight >= scope.concurrency.limit:
                scope.is_closed = True
                self._closed.add(scope)
            else:
                self._queue.append(scope)
            untried -= 1

    async def _wait(self, scope: FunctionScope) -> Permit:
        waiter = Waiter(scope)
        scope.waiters.append(waiter)
        scope.waiting += 1
        self.waiting += 1
        if not scope.is_queued:
            scope.is_queued = True
            self._queue.append(scope)
        if self._is_timed:
            self._dispatch()
        try:
            self._keep_time(waiter)
            while waiter.permit is None:
                if self._timekeeper is waiter:
                    await self._sleep(waiter)
                else:
                    await waiter.event.wait()
                if waiter.permit is None and waiter.event.is_set():
                    waiter.event = anyio.Event()
        except BaseException:
            if waiter.permit is None:
                self._leave(waiter)
            else:
                self._return_unused(waiter.permit)
            raise
        finally:
            if self._timekeeper is waiter:
                self._timekeeper = None
                self._keep_time()
        return waiter.permit

    def _return_unused(self, permit: Permit) -> None:
        for each in (permit.scope, self._registry.caller):
            each.meter.accepted -= 1
            if each.rate is not None:
                each.rate.give_back()
        self._give_back(permit.scope)

    def _leave(self, waiter: Waiter) -> None:
        waiter.has_left = True
        waiter.scope.waiting -= 1
        self.waiting -= 1

    def _keep_time(self, newcomer: Waiter | None = None) -> None:
        """See to it that one of those who wait wakes up in time, if anything depends on time."""
        if not self.waiting:
            return
        wakes_at = self._next_wake()
        if wakes_at is None:
            return
        if self._timekeeper is not None:
            if wakes_at < self._wakes_at:
                self._timekeeper.event.set()
        elif newcomer is not None and not newcomer.has_left:
            self._timekeeper = newcomer
        else:
            # The last to have come will be there for longest.
            scope = next(each for each in chain(self._queue, self._closed) if each.waiting)
            waiter = next(each for each in reversed(scope.waiters) if not each.has_left)
            self._timekeeper = waiter
            waiter.event.set()

    async def _sleep(self, waiter: Waiter) -> None:
        """Sleep, as the timekeeper, until something may have opened or until woken."""
        self._pass_time()
        wakes_at = self._next_wake()
        if waiter.permit is not None:
            return
        if wakes_at is None:
            self._timekeeper = None
            return
        self._wakes_at = wakes_at
        waiter.event = alarm = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(self._ring, wakes_at - self._clock.monotonic(), alarm)
            await alarm.wait()
            group.cancel_scope.cancel()

    async def _ring(self, seconds: float, alarm: anyio.Event) -> None:
        await self._clock.sleep(max(seconds, 0.0))
        alarm.set()

    def _pass_time(self) -> None:
        """Let limits grow by time, and hand out what has opened."""
        now = self._clock.monotonic()
        for scope in list(self._closed):
            self._reopen(scope)
        wanted = [scope for scope in self._queue if scope.waiting]
        for each in chain({scope.account for scope in wanted}, wanted):
            self._feedback.time_passed(each, now=now)
        self._is_timed = any(scope.is_timed for scope in self._registry)
        self._dispatch()

    def _next_wake(self) -> float | None:
        now = self._clock.monotonic()
        times = []
        for scope in chain(self._queue, self._closed):
            if scope.waiting:
                opens = self._opens_at(scope, now) if self._is_timed else 0.0
                if opens > now:
                    times.append(opens)
                elif scope.may_grow or scope.account.may_grow:
                    times.append(now + GROWTH_TICK)
        return min(times, default=None)


class PermitTimeoutError(Exception):
    def __init__(self, limited: str | None) -> None:
        super().__init__(limited)
        self.limited = limited


class LimiterClosedError(Exception):
    pass


class _Held:
    def __init__(self, limiter: Limiter, key: FunctionKey, deadline: float) -> None:
        self._limiter, self._key, self._deadline = limiter, key, deadline
        self._permit: Permit | None = None
        self.waited = 0.0

    async def __aenter__(self) -> "_Held":
        if self._limiter.is_closed:
            raise LimiterClosedError
        if self._deadline <= self._limiter.opens_at(self._key):
            raise PermitTimeoutError(self._limiter.describe(self._key))
        with anyio.move_on_after(self._deadline - self._limiter._clock.monotonic()):
            self._permit = await self._limiter.acquire(self._key)
        if self._permit is None:
            raise PermitTimeoutError(self._limiter.describe(self._key))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.ignored()

    def _take(self) -> Permit | None:
        permit, self._permit = self._permit, None
        return permit

    def admitted(self) -> None:
        permit = self._take()
        if permit is not None:
            self._limiter.succeeded(permit)

    def ignored(self) -> None:
        permit = self._take()
        if permit is not None:
            self._limiter.ignored(permit)

    unreachable = ignored

    def out_of_files(self) -> bool:
        self.ignored()
        return False

    def throttled(self, reason: ThrottleReason) -> None:
        permit = self._take()
        if permit is not None:
            self._limiter.throttled(permit, reason)
