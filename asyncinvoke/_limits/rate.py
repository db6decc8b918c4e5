"""How many attempts to start per second, and how long to pause when even one is refused."""

import math
from collections.abc import Callable

CUT = 0.1
"""How far to go below the rate that was accepted."""

RECOVERY = 1.5
"""Seconds of use until the rate is back at the accepted rate."""

PROBE = 0.01
"""How fast it rises beyond that, as a fraction of itself per second."""

PROBE_GROWTH = 1.0
"""The number of seconds in which that speed grows by a factor of e."""

SLOWEST = 0.2
"""The lowest rate, in attempts per second: one in 5 s, for a caller whose attempts all fail."""

BURST = 0.02
"""How many seconds' worth of attempts may start at once."""

WINDOW = 0.5
"""Seconds over which the accepted rate is measured, if that is `ENOUGH` attempts."""

ENOUGH = 10
"""The minimum number of attempts for measuring a rate."""

IDLE = 5.0
"""Seconds after which the window ends regardless, and counts as idle."""


class RateMeter:
    """Counts accepted attempts, so that the first throttle has a rate to start from.

    An attempt counts as accepted from its start, since it may take minutes to end, until it is
    throttled. By then the window in which it started may be over. Subtracting it from the current
    window could make the count negative and the rate meaningless. So the current and the previous
    window are identified by the number of their first permit, and a refused attempt is subtracted
    from the window in which it was counted, or from none if that was longer ago.
    """

    __slots__ = (
        "_began",
        "_previous",
        "_previous_first",
        "_previous_seconds",
        "accepted",
        "ends_at",
        "first",
    )

    def __init__(self, *, now: float) -> None:
        self.accepted: int = 0
        self.ends_at: float = now + WINDOW
        self._began = now
        self.first: int = 0
        """The number of the first permit of the current window."""
        self._previous = 0
        self._previous_first = 0
        self._previous_seconds = 0.0

    def roll(self, now: float, *, last: int) -> None:
        """Start a new window if this one is over.

        Args:
            now: Seconds on any monotonic clock; before `ends_at` nothing happens.
            last: The number of the last permit granted.
        """
        elapsed = now - self._began
        if elapsed < WINDOW or (self.accepted < ENOUGH and elapsed < IDLE):
            return
        # What an idle caller did long ago says nothing about what it may do now.
        self._previous_seconds = elapsed if elapsed < IDLE else 0.0
        self._previous, self.accepted = self.accepted, 0
        self._previous_first, self.first = self.first, last + 1
        self._began = now
        self.ends_at = now + WINDOW

    def uncount(self, number: int) -> None:
        """Uncount an attempt that was refused or not sent.

        Args:
            number: The number of its permit.
        """
        if number >= self.first:
            self.accepted -= 1
        elif number >= self._previous_first:
            self._previous -= 1

    def rate(self, now: float) -> float:
        """Return the recently accepted rate, in attempts per second."""
        elapsed = now - self._began
        if not self._previous or not self._previous_seconds:
            return self.accepted / max(elapsed, WINDOW / 5)
        # A partial window counts proportionally.
        part = min(elapsed / WINDOW, self.accepted / ENOUGH, 1.0)
        previous = self._previous / self._previous_seconds
        return part * self.accepted / max(elapsed, 1e-9) + (1 - part) * previous


class RateLimit:
    """A limit on attempts started per second; created at the first throttle of that kind.

    Args:
        now: Seconds on any monotonic clock.
        accepted: The rate accepted so far, in attempts per second.
    """

    __slots__ = ("_accepted", "_floor", "_stamp", "_tokens", "_used", "rate")

    def __init__(self, *, now: float, accepted: float) -> None:
        self.rate: float = math.inf
        self._tokens = 0.0
        self._stamp = now
        self.throttled(now=now, accepted=accepted)

    def throttled(self, *, now: float, accepted: float) -> None:
        """Record that an attempt was refused. Call it once per burst.

        Args:
            now: The current time.
            accepted: The recently accepted rate, in attempts per second.
        """
        self._accepted = max(min(accepted, self.rate), SLOWEST)
        self._floor = max(self._accepted * (1 - CUT), SLOWEST)
        self.rate = self._floor
        self._used = 0.0
        self._tokens = min(self._tokens, 0.0)
        self._stamp = now

    @property
    def opens_at(self) -> float:
        """When the next attempt may start, as of the last refill; a past time means immediately."""
        return self._stamp if self._tokens >= 1 else self._stamp + (1 - self._tokens) / self.rate

    def take(self) -> None:
        """Start an attempt."""
        self._tokens -= 1

    def give_back(self) -> None:
        """Return the token of an attempt that was not sent."""
        self._tokens += 1

    def refill(self, now: float) -> None:
        """Advance the time; the rate grows with the time it was in use."""
        elapsed = max(now - self._stamp, 0.0)
        self._stamp = now
        room = max(1.0, self.rate * BURST)
        # Once the bucket is full, further time does not count as use.
        self._used += min(elapsed, max(room - self._tokens, 0.0) / self.rate)
        self._tokens = min(self._tokens + elapsed * self.rate, room)
        self.rate = max(self._floor, self._curve(self._used - RECOVERY))

    def _curve(self, past: float) -> float:
        if past < 0:
            return self._accepted + (self._accepted - self._floor) * (past / RECOVERY) ** 3
        steep = math.expm1(min(past / PROBE_GROWTH, 50.0))
        return self._accepted * (1 + PROBE * PROBE_GROWTH * steep)


FIRST = 0.05
"""The first pause, in seconds."""

LONGEST = 5.0
"""The longest pause, in seconds: how often a function without concurrency is probed."""

FORGOTTEN = 120.0
"""How long after a refusal the next one belongs to the same pause, in seconds: longer than the 60 s
that a probe takes to find out that nobody answers. If nobody calls for longer, it begins anew."""


class Pause:
    """A pause that doubles with each refusal, and shrinks with each success.

    After a success the next attempt starts immediately, since the slot of the last one is free. The
    pause itself is only divided by four, so that it recovers quickly after another refusal.

    Args:
        random: Returns numbers from 0 to 1, so that clients do not return simultaneously.
    """

    __slots__ = ("_random", "_refused_at", "began", "seconds", "until")

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self.seconds: float = 0.0
        self.until: float = 0.0
        self.began: float = math.inf
        """When the first of its refusals came; infinite if there is no pause."""
        self._refused_at = 0.0

    def refused(self, *, now: float, at_least: float = FIRST) -> None:
        """Record that an attempt was refused."""
        if not self.seconds or now > self._refused_at + FORGOTTEN:
            self.began = now
        self._refused_at = now
        self.seconds = min(max(2 * self.seconds, FIRST, at_least), LONGEST)
        self.repeat(now=now)

    def succeeded(self, *, now: float) -> None:
        """Record that an attempt was admitted."""
        seconds = self.seconds / 4
        if seconds < FIRST:
            self.end()
        else:
            self.seconds = seconds
        self.until = now

    def repeat(self, *, now: float) -> None:
        """Pause again for the same length as last time, randomized between half and all of it."""
        self.until = now + self.seconds * (1 + self._random()) / 2

    def end(self) -> None:
        """Forget it."""
        self.seconds = self.until = 0.0
        self.began = math.inf
