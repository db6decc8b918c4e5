"""How many attempts to keep in flight: the algorithm that finds a ceiling and stays under it.

`Ceilings` compares the ceiling found by each throttle with the previous ones: it is the same, has
fallen, has risen, or is shared with other clients. `ConcurrencyLimit` changes the limit accordingly.
It uses no clock and does no I/O: the results of attempts go in, with the time, and a number comes
out. `docs/limits.md` explains how it works and why; `benchmarks/simulate.py` shows it at scale.
"""

import math
from dataclasses import dataclass
from enum import Enum

from asyncinvoke._limits.limit import INITIAL

FIRST_CUT = 0.05
"""The cut at the first throttle. All cuts are fractions of the ceiling."""

RAMP_CUT = 0.1
"""The cut at throttles that follow immediately: the steep ramp went far beyond the ceiling."""

ALONE_CUTS = (0.04, 0.02, 0.01)
"""The cuts of a sole client: for a new ceiling, for the same one again, and for each further time."""

ROOM_CUT = 0.1
"""The occasional cut below a ceiling that stays the same, which leaves room for a newcomer."""

ROOM_AFTER = 8
"""How many times the same ceiling is found before that cut."""

FALLEN_CUT = 0.25
"""The cut if a lower ceiling is found within a round of the last cut: it has fallen a lot."""

SHARED_CUT = 0.15
"""The cut at each throttle while others share the limit, for a ceiling of `MODEST`. Above, it shrinks
with the fourth root of the ceiling, so that a large limit is not left half empty. Below, it grows
with the square root: if many clients have a small share each, a larger fraction is throttled."""

LEAST_SHARED_CUT = 0.06
"""The lower bound of that cut, reached at ceilings of about 1,000."""

MODEST = 25.0
"""A ceiling of medium size, in attempts."""

DRIFT = 0.05
"""How far a ceiling may move without indicating other clients, as a fraction of it."""

LEAST_DRIFT = 0.5
"""How far it may move in addition to that, in attempts."""

REMEMBERED = 6
"""The number of throttles for which others are assumed present after a ceiling that moved."""


class Recovery(Enum):
    """How the limit rises after a cut."""

    TO_CEILING = "to the ceiling"
    """Quickly up to the ceiling, then slowly beyond it."""

    LEAVING_ROOM = "leaving room"
    """Slowly from the current value, as if that were the ceiling."""

    SHARING = "sharing"
    """From the current value, at the speed common to all clients that share the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How far below a ceiling to go, and how to return."""

    depth: float
    """The depth, as a fraction of the ceiling."""

    recovery: Recovery = Recovery.TO_CEILING
    """How to return."""


class Ceilings:
    """Compares each ceiling found with the previous ones.

    A throttle shows that the limit is reached, but not by whom. There are two cases with opposite
    solutions. A sole client should go just below the ceiling and return immediately, since unused
    capacity is wasted. One of several clients should back off by a fixed fraction and return at the
    common pace, as in TCP; otherwise the first client keeps everything. The response does not
    distinguish these cases, and a client that guesses is either wasteful or greedy.

    The position of the previous ceiling does distinguish them. A sole client finds the ceiling at
    the same place, within an attempt or two. If others share the limit, the share of one client
    depends on theirs, and moves from throttle to throttle. So a ceiling that moved indicates other
    clients, also for the next few throttles, since one unchanged ceiling does not mean that they
    have left. A ceiling that stays indicates a sole client, or a newcomer kept out by a client that
    always returns immediately. So some room is left occasionally, and if it is taken, the ceiling
    moves. The initial ramp overshoots before the first throttle, so its ceilings are not compared.
    """

    __slots__ = ("_found", "_is_ramping", "_reference", "_shared")

    def __init__(self) -> None:
        self._reference: float | None = None
        self._is_ramping = True
        self._found = 0
        self._shared = 0

    def found(self, ceiling: float, *, settled: bool) -> Cut:
        """Return the cut for a ceiling.

        Args:
            ceiling: The number of attempts in flight when one was refused.
            settled: Whether some time has passed without a throttle since the last cut.
        """
        reference = self._reference
        if reference is None or self._is_ramping:
            # The first ceilings are found by a steep ramp, and are too high to compare with.
            self._reference = ceiling
            self._is_ramping = reference is None or not settled
            if reference is None:
                return Cut(depth=FIRST_CUT)
            return Cut(depth=ALONE_CUTS[0] if settled else RAMP_CUT)
        drift = LEAST_DRIFT + DRIFT * reference
        was_shared = self._shared > 0
        fell, rose = ceiling < reference - drift, ceiling > reference + drift
        if fell or rose:
            # A sole client finds the same ceiling again; other clients move it up and down.
            self._reference = ceiling
            self._found = 0
            self._shared = REMEMBERED
        else:
            self._found += 1
            self._shared = max(self._shared - 1, 0)
        if was_shared or (fell and settled):
            return Cut(depth=_shared_depth(ceiling), recovery=Recovery.SHARING)
        if fell:
            return Cut(depth=FALLEN_CUT, recovery=Recovery.SHARING)
        if self._found >= ROOM_AFTER:
            self._found = 1
            return Cut(depth=ROOM_CUT, recovery=Recovery.LEAVING_ROOM)
        return Cut(depth=ALONE_CUTS[min(self._found, len(ALONE_CUTS) - 1)])


def _shared_depth(ceiling: float) -> float:
    root = 0.5 if ceiling < MODEST else 0.25
    return max(SHARED_CUT * math.pow(MODEST / ceiling, root), LEAST_SHARED_CUT)


START_ROUND = 0.25
"""The time after which an attempt that was not refused counts as admitted, in seconds, until the
first throttle; `START_SPEED` shortens it while fewer than 100 are in flight. Lambda refuses within
tens of milliseconds; a function may run for 15 minutes."""

START_SPEED = 400.0
"""The minimum speed of the ramp, in attempts per second. If a refusal takes 30 ms, a dozen attempts
too many are sent, once, or an eighth of the ceiling if that is more. A ramp that starts below the
default has no minimum speed: for the small ceiling it is meant for, a dozen would be several times
too much."""

START_TICK = 0.005
"""The interval at which the ramp rises by time alone, in seconds. Attempts that are sent one after
another stop with the first refusal; a burst would be refused as a whole."""

LONGEST_ROUND = 1.0
"""The same as `START_ROUND` after the first throttle; it bounds how slowly a slow function is probed."""

LARGEST_STEP = 0.2
"""The maximum fraction of a round added at once by time alone, so that growth is spread out."""

LEAST_CUT = 0.5
"""The minimum cut, in attempts: the limit returns to what was admitted."""

LEAST_GIVEN = 1.0
"""The minimum cut that leaves room for others, in attempts."""

SETTLED = 1.0
"""The number of rounds within which another throttle means that the last cut was too small."""

CURVATURE = 0.02
"""The steepness of the return to the ceiling, in attempts per round cubed, as in TCP CUBIC."""

PROBE = 0.15
"""The initial speed beyond the ceiling, in attempts per round."""

SMALL_PROBE = 0.03
"""The same for ceilings below 5, as a fraction of them, where a single attempt matters."""

PROBE_GROWTH = 2.0
"""The number of rounds in which that speed grows by a factor of e, for high ceilings."""

SMALL_PROBE_GROWTH = 3.0
"""The same for ceilings up to 10: a client with a small share of a limit has many others beside it,
which its probing causes to be throttled. For higher ceilings it is 2 + 10 / ceiling."""

KNOWN_PROBE_GROWTH = 0.5
"""The same after `lower_to`. A probe of such a capacity takes nothing from anyone and costs next to
nothing, so even a limit that fell to 1 is back at 10,000 within 6 s."""

SHARED_PROBE = 0.45
"""The speed while others share the limit, in attempts per round, for ceilings up to `MODEST`; beyond,
it grows with their square root. A client with a small share gains as much as one with a large share."""

SHARED_BEND = 0.002
"""How fast that speed grows, in attempts per round cubed, for ceilings up to `MODEST`. It must be
small: a client that happens not to be throttled for a while would take the share of the others."""

MOST_SHARED_BEND = 0.2
"""The upper bound of that growth, reached at ceilings of 250; up to there it rises with their square.
Growing by a large fraction of a high ceiling should take time, but not so much that a limit that
rises by a tenth of itself in each round is left unused."""


class ConcurrencyLimit:
    """A limit on attempts in flight that adapts to throttles.

    Args:
        initial: The initial limit.
        minimum: The lower bound.
        maximum: The upper bound.
    """

    __slots__ = (
        "_ceilings",
        "_in_advance",
        "_is_known",
        "_is_sharing",
        "_is_starting",
        "_least_speed",
        "_plateau",
        "_rounds",
        "_rounds_to_plateau",
        "_seen",
        "_value",
        "is_in_use",
        "limit",
        "maximum",
        "minimum",
    )

    def __init__(self, *, initial: int, minimum: int, maximum: int) -> None:
        self.limit: int = initial
        self.minimum: int = minimum
        self.maximum: int = maximum
        self._value = float(initial)
        self._ceilings = Ceilings()
        self._is_sharing = False
        self._is_known = False
        self._is_starting = True
        self._least_speed = START_SPEED if initial >= INITIAL else 0.0
        self._in_advance = 0.0
        self._plateau = 0.0
        self._rounds_to_plateau = 0.0
        self._rounds = 0.0
        self._seen = 0.0
        # Whether the limit was reached at the last update. If it was not then and is not now, neither
        # a success nor the passage of time changes it, so they need not be recorded.
        self.is_in_use: bool = False

    def succeeded(self, *, now: float, in_flight: int) -> None:
        """Record that an attempt was admitted.

        Args:
            now: Seconds on any monotonic clock.
            in_flight: The number of attempts in flight, including this one.
        """
        self._advance(now, in_flight, 1)

    def tick(self, *, now: float, in_flight: int) -> None:
        """Record that time has passed without a throttle."""
        self._advance(now, in_flight, 0)

    def rises_at(self, now: float) -> float:
        """Return when to call `tick` if the limit is reached now; infinite if there is no hurry."""
        is_ramping = self._is_starting and self.limit < self.maximum
        return now + START_TICK if is_ramping else math.inf

    def throttled(self, *, in_flight: int) -> None:
        """Record that an attempt was refused. Call it once per burst.

        Args:
            in_flight: The number of attempts in flight when it was sent, excluding itself.
        """
        ceiling = max(min(float(in_flight), self._value), 1.0)
        cut = self._ceilings.found(ceiling, settled=self._rounds >= SETTLED)
        gives_way = cut.recovery is not Recovery.TO_CEILING
        least = LEAST_GIVEN if gives_way else LEAST_CUT
        self._value = max(min(ceiling * (1 - cut.depth), ceiling - least), float(self.minimum))
        self._plateau = self._value if gives_way else max(ceiling, self._value)
        self._rounds_to_plateau = math.cbrt((self._plateau - self._value) / CURVATURE)
        self._rounds = 0.0
        self._is_sharing = cut.recovery is Recovery.SHARING
        self._is_starting = self._is_known = False
        self.limit = int(self._value + 0.5)

    def lower_to(self, most: int) -> None:
        """Lower the limit to a known capacity.

        It is not cut any further, and rises from there as it would beyond a ceiling, but sooner.
        """
        self._value = max(min(self._value, float(most)), float(self.minimum))
        self._plateau = self._value
        self._rounds_to_plateau = self._rounds = 0.0
        self._is_sharing = self._is_starting = False
        self._is_known = True
        self.limit = int(self._value + 0.5)

    def _advance(self, now: float, in_flight: int, admitted: int) -> None:
        was_in_use, self.is_in_use = self.is_in_use, in_flight >= self.limit
        elapsed, self._seen = now - self._seen, now
        if not self.is_in_use or self._value >= self.maximum:
            return
        if self._is_starting:
            grown = self._ramp(elapsed if was_in_use else min(elapsed, START_TICK), admitted)
        else:
            by_time = min(elapsed / LONGEST_ROUND, LARGEST_STEP) if was_in_use else 0.0
            self._rounds += max(admitted / self._value, by_time)
            grown = self._curve(self._rounds - self._rounds_to_plateau)
        self._value = min(max(self._value, grown), float(self.maximum))
        self.limit = int(self._value + 0.5)

    def _ramp(self, elapsed: float, admitted: int) -> float:
        """Return the next limit before the first throttle.

        Each attempt that was admitted adds one, so the limit is at least what doubling with each
        round gives. What was added by time is an advance on that: as many of the following responses
        add nothing.
        """
        speed = max(self._least_speed, self._value / START_ROUND)
        by_time = min(elapsed * speed, LARGEST_STEP * self._value)
        self._in_advance += by_time
        counted = min(self._in_advance, float(admitted))
        self._in_advance -= counted
        return self._value + by_time + admitted - counted

    def _curve(self, past: float) -> float:
        """Return the limit at a number of rounds past the plateau, which may be negative."""
        plateau = self._plateau
        if past < 0:
            return plateau + CURVATURE * past**3
        if self._is_sharing:
            size = max(1.0, plateau / MODEST)
            bend = min(SHARED_BEND * size**2, MOST_SHARED_BEND)
            return plateau + SHARED_PROBE * math.sqrt(size) * past + bend * past**3
        speed = PROBE if self._is_known else min(PROBE, SMALL_PROBE * plateau)
        growth = min(PROBE_GROWTH + 10 / plateau, SMALL_PROBE_GROWTH)
        if self._is_known:
            growth = KNOWN_PROBE_GROWTH
        # A larger exponent could overflow, and the maximum is reached long before.
        return plateau + speed * growth * math.expm1(min(past / growth, 50.0))
