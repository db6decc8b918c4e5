"""A gate: the limits of one scope, which is a function, an account, this caller or this process.

It uses no clock and does no I/O: the results of attempts go in, with the time, and limits change.
"""

import logging
import math
from collections.abc import Callable

from asyncinvoke._limits.concurrency import ConcurrencyLimit
from asyncinvoke._limits.events import LOG_EVERY, LOG_PAUSES_FROM, LimitEvents
from asyncinvoke._limits.rate import FIRST, Pause, RateLimit, RateMeter
from asyncinvoke._model.failure import LIMIT_OF_REASON, LimitKind, ThrottleReason, ThrottleScope
from asyncinvoke._telemetry import attributes

_logger = logging.getLogger("asyncinvoke")


class Gate:
    """The limits of one scope: attempts in flight, a pause and, once throttled by rate, a rate.

    Args:
        scope: The kind of scope.
        key: Which one; shown using `str`.
        concurrency: Its limit on attempts in flight.
        now: The current time.
        random: Returns numbers from 0 to 1.
        events: The queue for limit changes.
    """

    __slots__ = (
        "_concurrency_cut",
        "_events",
        "_logged_at",
        "_lowered_since",
        "_pause_cut",
        "_rate_cut",
        "_reason",
        "_said_at",
        "_said_that_it_pauses",
        "_unreachable",
        "alarm_at",
        "concurrency",
        "in_flight",
        "is_timed",
        "key",
        "meter",
        "pause",
        "rate",
        "scope",
        "throttles",
    )

    def __init__(
        self,
        scope: ThrottleScope,
        key: object,
        *,
        concurrency: ConcurrencyLimit,
        now: float,
        random: Callable[[], float],
        events: LimitEvents,
    ) -> None:
        self.scope: ThrottleScope = scope
        self.key: object = key
        self.concurrency: ConcurrencyLimit = concurrency
        self.rate: RateLimit | None = None
        self.meter: RateMeter = RateMeter(now=now)
        self.pause: Pause = Pause(random)
        self.in_flight: int = 0
        self.throttles: int = 0
        self.is_timed: bool = False
        """Whether a pause or a rate can delay the next permit."""
        self.alarm_at: float = math.inf
        """When the timekeeper checks it."""
        # Throttles of permits up to these numbers belong to a burst that was already handled.
        self._concurrency_cut = 0
        self._rate_cut = 0
        self._pause_cut = 0
        self._reason: ThrottleReason | None = None
        self._events = events
        self._logged_at = -math.inf
        self._lowered_since = 0
        self._said_that_it_pauses = False
        self._unreachable = ""
        self._said_at = -math.inf

    @property
    def may_grow(self) -> bool:
        """Whether its limit on attempts in flight may rise with time alone."""
        # Without a file an attempt ends at once, so whatever is in flight after a pause has one.
        is_probing = self.pause.seconds > 0 and self.scope is not ThrottleScope.PROCESS
        return self.concurrency.limit < self.concurrency.maximum and not is_probing

    def refill(self, now: float) -> float:
        """Advance the time for its rate, and return the earliest time at which it opens."""
        if self.rate is None:
            return self.pause.until
        self.rate.refill(now)
        return max(self.pause.until, self.rate.opens_at)

    def refresh(self, now: float) -> float:
        """Advance the time, and return when it may open: infinite if an attempt has to end first."""
        if self.in_flight >= self.concurrency.limit:
            return self.concurrency.rises_at(now)
        return self.refill(now) if self.is_timed else 0.0

    def admitted(self, now: float) -> None:
        """Record that an attempt was admitted; it still counts as in flight."""
        if self.pause.seconds:
            self.pause.succeeded(now=now)
            self._pause_moved()
        elif self.concurrency.limit < self.concurrency.maximum:
            before = self.concurrency.limit
            self.concurrency.succeeded(now=now, in_flight=self.in_flight)
            if self._events.is_heard:
                self._rose(before)

    def tick(self, now: float, in_flight: int) -> None:
        """Record that time has passed without a refusal."""
        if self.may_grow:
            before = self.concurrency.limit
            self.concurrency.tick(now=now, in_flight=in_flight)
            if self._events.is_heard:
                self._rose(before)

    def throttled(
        self, reason: ThrottleReason, *, number: int, last: int, ahead: int, now: float
    ) -> None:
        """Lower the limit that an attempt was throttled by, unless this burst already did.

        Args:
            reason: The reason.
            number: The number of the attempt's permit.
            last: The number of the last permit granted: throttles of permits up to it belong to the
                same burst as this one, and have no further effect.
            ahead: The attempts in flight here when it was sent, excluding itself.
            now: The current time.
        """
        self._reason = reason
        if LIMIT_OF_REASON[reason].quantity is LimitKind.RATE:
            if number > self._rate_cut:
                self._rate_cut = last
                self._lower_rate(reason, now)
        elif number > self._concurrency_cut:
            self._concurrency_cut = last
            self._lower_concurrency(reason, ahead, now)

    def unreachable(self, why: str, *, number: int, last: int, now: float) -> None:
        """Record that nothing can be sent, and why; the numbers are as in `throttled`."""
        self._unreachable = why
        if number > self._pause_cut:
            self._pause_cut = last
            self.refused(now)

    def out_of_files(self, *, others: int, now: float) -> None:
        """Record that there are file descriptors only for the other attempts; pause if none."""
        self.throttles += 1
        before = self.concurrency.limit
        if not others:
            self.refused(now)
        self.concurrency.lower_to(max(others, 1))
        self._lowered(LimitKind.CONCURRENCY, before, self.concurrency.limit, None, now)

    def refused(self, now: float, *, at_least: float = FIRST) -> None:
        """Pause: even the minimum was refused."""
        self.pause.refused(now=now, at_least=at_least)
        self._pause_moved()
        is_due = now >= self._said_at + LOG_EVERY and not self._said_that_it_pauses
        if self.pause.seconds >= LOG_PAUSES_FROM and is_due:
            self._said_that_it_pauses = True
            self._said_at = now
            cause = self._cause
            extra = dict(self._attributes)
            if cause == self._reason:
                extra |= attributes.of_reason(self._reason)
            self._events.log(logging.WARNING, f"{self} pauses: {cause}", extra)

    def reached(self) -> None:
        """End the pause: there was a response."""
        self.pause.end()
        self._pause_moved()

    @property
    def was_told(self) -> bool:
        """Whether its limits are based on a throttle or a failure, rather than an initial guess."""
        return self._reason is not None or self.is_timed or self.scope is ThrottleScope.PROCESS

    def describe(self, now: float, in_flight: int) -> tuple[float, str] | None:
        """Return until when it delays permits, and a description; `None` if it does not."""
        limit = self.concurrency.limit
        because = "" if self._reason is None else f" ({self._reason})"
        if self.pause.until > now:
            if self.scope is ThrottleScope.CALLER:
                return self.pause.until, self._cause
            if self.scope is ThrottleScope.PROCESS:
                return self.pause.until, f"{self} has no files left, and pauses"
            return self.pause.until, f"{self} has a limit of {limit} and pauses{because}"
        if self.rate is not None and self.rate.opens_at > now:
            return (
                self.rate.opens_at,
                f"{self} has a limit of {self.rate.rate:.3g} a second{because}",
            )
        if in_flight < limit:
            return None
        if self.scope is ThrottleScope.PROCESS:
            return now, f"{self} has no files left for more than {limit} attempts in flight"
        return now, f"{self} has a limit of {limit}{because}"

    def __str__(self) -> str:
        if self.scope in (ThrottleScope.CALLER, ThrottleScope.PROCESS):
            return f"this {self.scope}"
        shown = str(self.key)
        return f"{self.scope} {shown}" if shown else f"the {self.scope}"

    @property
    def _attributes(self) -> dict[str, object]:
        return {attributes.SCOPE: str(self.scope), attributes.KEY: str(self.key)}

    @property
    def _cause(self) -> str:
        if self.scope is ThrottleScope.CALLER:
            return self._unreachable or "the endpoint cannot be reached"
        if self.scope is ThrottleScope.PROCESS:
            return "it has no files left"
        return str(self._reason)

    def _lower_concurrency(self, reason: ThrottleReason, ahead: int, now: float) -> None:
        limit, at_least = self.concurrency, LIMIT_OF_REASON[reason].pause
        before = limit.limit
        if at_least or before <= limit.minimum:
            self.refused(now, at_least=at_least)
        limit.throttled(in_flight=ahead)
        self._lowered(LimitKind.CONCURRENCY, before, limit.limit, reason, now)

    def _lower_rate(self, reason: ThrottleReason, now: float) -> None:
        accepted = self.meter.rate(now)
        before = None if self.rate is None else self.rate.rate
        if self.rate is None:
            self.rate = RateLimit(now=now, accepted=accepted)
            self.is_timed = True
        else:
            self.rate.throttled(now=now, accepted=accepted)
        self._lowered(LimitKind.RATE, before, self.rate.rate, reason, now)

    def _pause_moved(self) -> None:
        self.is_timed = self.rate is not None or self.pause.seconds > 0
        if not self.pause.seconds:
            self._said_that_it_pauses = False

    def _rose(self, before: int) -> None:
        after = self.concurrency.limit
        self._events.changed(
            self.scope, self.key, LimitKind.CONCURRENCY, before=before, after=after, reason=None
        )

    def _lowered(
        self,
        quantity: LimitKind,
        before: float | None,
        after: float,
        reason: ThrottleReason | None,
        now: float,
    ) -> None:
        if before == after:
            return
        if self._events.is_heard:
            self._events.changed(
                self.scope, self.key, quantity, before=before, after=after, reason=reason
            )
        self._lowered_since += 1
        if now >= self._logged_at + LOG_EVERY and _logger.isEnabledFor(logging.INFO):
            what = "in flight" if quantity is LimitKind.CONCURRENCY else "a second"
            was = "" if before is None else f", was {before:.3g}"
            why = self._cause if reason is None else reason
            often = self._lowered_since
            since = "" if often == 1 else f"; lowered {often} times since the last line"
            self._events.log(
                logging.INFO,
                f"{self}: at most {after:.3g} {what}{was} ({why}){since}",
                {
                    **self._attributes,
                    **attributes.of_reason(reason),
                    **attributes.there({attributes.LIMIT_BEFORE: before}),
                    attributes.QUANTITY: str(quantity),
                    attributes.LIMIT: after,
                    attributes.LOWERED: often,
                },
            )
            self._logged_at = now
            self._lowered_since = 0
