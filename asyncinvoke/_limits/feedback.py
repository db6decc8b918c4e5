"""What the end of an attempt, and time, do to the limits of its scopes; and who is told of it."""

import logging

from asyncinvoke._limits.events import Hook, LimitChanged
from asyncinvoke._limits.rate import RateLimit
from asyncinvoke._limits.reasons import LIMIT_OF_REASON, LimitKind
from asyncinvoke._limits.registry import Registry
from asyncinvoke._limits.scopes import Permit, Scope
from asyncinvoke._model.failure import ThrottleReason, ThrottleScope

_logger = logging.getLogger("asyncinvoke")


class Feedback:
    """Moves limits."""

    def __init__(self, registry: Registry, hooks: tuple[Hook, ...]) -> None:
        self._registry = registry
        self._hooks = hooks

    def succeeded(self, permit: Permit, *, now: float) -> None:
        """Learn that an attempt was admitted."""
        scope = permit.scope
        self._grow(scope, now, admitted=True)
        if not scope.reserved:
            self._grow(scope.account, now, admitted=True)
        scope.meter.roll(now)
        self._registry.caller.meter.roll(now)

    def time_passed(self, scope: Scope, *, now: float) -> None:
        """Learn that nothing was heard from a scope for which somebody waits."""
        self._grow(scope, now, admitted=False)

    def throttled(
        self, permit: Permit, reason: ThrottleReason, *, now: float, last_number: int
    ) -> bool:
        """Learn that an attempt was throttled.

        Args:
            permit: What it was started with.
            reason: Why.
            now: The time.
            last_number: The last permit that was handed out: all throttles of permits up to it
                belong to the same burst as this one.

        Returns:
            Whether the clock now has a say in who may start.
        """
        slowdown = LIMIT_OF_REASON[reason]
        scope = permit.scope
        slowed: Scope = scope
        ahead = permit.ahead
        if slowdown.scope is ThrottleScope.ACCOUNT:
            slowed, ahead = scope.account, permit.ahead_in_account
        elif slowdown.scope is ThrottleScope.CALLER:
            slowed = self._registry.caller
        slowed.throttles += 1
        scope.meter.accepted -= 1
        self._registry.caller.meter.accepted -= 1
        if self._registry.adaptive is None:
            return False
        if slowdown.reserved is not None:
            scope.set_reserved(slowdown.reserved)
        if slowdown.quantity is LimitKind.RATE:
            if permit.number > slowed.rate_cut:
                slowed.rate_cut = last_number
                self._lower_rate(slowed, reason, now)
        elif permit.number > slowed.concurrency_cut:
            slowed.concurrency_cut = last_number
            self._lower_concurrency(slowed, ahead, reason, now)
        return slowed.is_timed

    def _grow(self, scope: Scope, now: float, *, admitted: bool) -> None:
        limit = scope.concurrency
        if not scope.may_grow:
            if admitted and scope.pause.seconds:
                scope.pause.succeeded(now=now)
            return
        before = limit.limit
        if admitted:
            limit.succeeded(now=now, in_flight=scope.in_flight)
        else:
            limit.tick(now=now, in_flight=scope.in_flight)
        if self._hooks and limit.limit != before:
            self._tell(scope, LimitKind.CONCURRENCY, before, limit.limit, None)

    def _lower_concurrency(
        self, scope: Scope, ahead: int, reason: ThrottleReason, now: float
    ) -> None:
        limit = scope.concurrency
        before = limit.limit
        pause = LIMIT_OF_REASON[reason].pause
        if pause or before <= limit.minimum:
            scope.pause.refused(now=now, at_least=pause)
        limit.throttled(in_flight=ahead)
        if self._hooks and limit.limit != before:
            self._tell(scope, LimitKind.CONCURRENCY, before, limit.limit, reason)

    def _lower_rate(self, scope: Scope, reason: ThrottleReason, now: float) -> None:
        accepted = scope.meter.rate(now)
        before = None if scope.rate is None else scope.rate.rate
        if scope.rate is None:
            scope.rate = RateLimit(now=now, accepted=accepted)
        else:
            scope.rate.throttled(now=now, accepted=accepted)
        if self._hooks:
            self._tell(scope, LimitKind.RATE, before, scope.rate.rate, reason)

    def _tell(
        self,
        scope: Scope,
        quantity: LimitKind,
        before: float | None,
        after: float,
        reason: ThrottleReason | None,
    ) -> None:
        event = LimitChanged(
            scope=scope.kind,
            key=scope.key,
            quantity=quantity,
            before=before,
            after=after,
            reason=reason,
        )
        for hook in self._hooks:
            try:
                hook(event)
            except Exception:
                # Whoever listens must not be able to change what is heard.
                _logger.exception("a hook raised")
