"""How many attempts to keep in flight: the algorithm that finds a ceiling and stays under it.

`Ceilings` judges each throttle: the ceiling is the same as before, has fallen, has risen, or is
shared with others; `ConcurrencyLimit` moves as that says. No clock and no I/O: what became of an
attempt goes in, with the time; a number comes out. `docs/limits.md` tells how it works and why;
`benchmarks/simulate.py` shows it at scale.
"""

import math
from dataclasses import dataclass
from enum import Enum

FIRST_CUT = 0.05
"""How far to go below the ceiling at the first throttle, as a part of it, as are all cuts."""

RAMP_CUT = 0.1
"""How far to go at throttles that follow at once: the ramp was steep, and went well beyond."""

ALONE_CUTS = (0.04, 0.02, 0.01)
"""How far to go while alone: where the ceiling is new, the same again, and so each further time."""

ROOM_CUT = 0.1
"""How far to go now and then below a ceiling that stays the same, to leave room for a newcomer."""

ROOM_AFTER = 8
"""How often it is found again before that."""

FALLEN_CUT = 0.25
"""How far to go where a ceiling is found lower within a round of the last cut: it fell, by far."""

SHARED_CUT = 0.15
"""How far to go at each throttle while others share the limit, for a ceiling of `MODEST`. For larger
ones it shrinks with the fourth root, so that a large limit does not stand half empty. For smaller
ones it grows with the square root: among many with little each, throttles are a larger part."""

LEAST_SHARED_CUT = 0.06
"""The least that it shrinks to, for ceilings of about 1,000."""

MODEST = 25.0
"""A ceiling of middling size, in attempts."""

DRIFT = 0.05
"""By how much a ceiling may move without telling of others, as a part of it."""

LEAST_DRIFT = 0.5
"""The same in attempts, on top."""

REMEMBERED = 6
"""For how many throttles, after one that told of others, they are taken to be there."""


class WayBack(Enum):
    """How the limit rises after a cut."""

    TO_CEILING = "to the ceiling"
    """Quickly back to the ceiling, then slowly through it."""

    LEAVING_ROOM = "leaving room"
    """Slowly from where it is, as it would go through a ceiling."""

    SHARING = "sharing"
    """From where it is, at a speed that all who share the limit have in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How far to go below a ceiling, and how to come back."""

    depth: float
    """As a part of the ceiling."""

    way_back: WayBack = WayBack.TO_CEILING
    """How to come back."""


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
        """Judge a ceiling.

        Args:
            ceiling: The attempts in flight when one was refused.
            settled: Whether some time went by without a throttle since the last cut.
        """
        reference = self._reference
        if reference is None or self._is_ramping:
            # The first ceilings are those of a steep ramp, too high to compare with.
            self._reference = ceiling
            self._is_ramping = reference is None or not settled
            if reference is None:
                return Cut(depth=FIRST_CUT)
            return Cut(depth=ALONE_CUTS[0] if settled else RAMP_CUT)
        drift = LEAST_DRIFT + DRIFT * reference
        was_shared = self._shared > 0
        fell, rose = ceiling < reference - drift, ceiling > reference + drift
        if fell or rose:
            # Alone, a ceiling is found where it was. Others push it up and down.
            self._reference = ceiling
            self._found = 0
            self._shared = REMEMBERED
        else:
            self._found += 1
            self._shared = max(self._shared - 1, 0)
        if was_shared or (fell and settled):
            return Cut(depth=_shared_depth(ceiling), way_back=WayBack.SHARING)
        if fell:
            return Cut(depth=FALLEN_CUT, way_back=WayBack.SHARING)
        if self._found >= ROOM_AFTER:
            self._found = 1
            return Cut(depth=ROOM_CUT, way_back=WayBack.LEAVING_ROOM)
        return Cut(depth=ALONE_CUTS[min(self._found, len(ALONE_CUTS) - 1)])


def _shared_depth(ceiling: float) -> float:
    root = 0.5 if ceiling < MODEST else 0.25
    return max(SHARED_CUT * math.pow(MODEST / ceiling, root), LEAST_SHARED_CUT)


START_ROUND = 0.25
"""Seconds after which attempts that were not refused count as admitted, until the first throttle.
Lambda refuses within tens of milliseconds, while a function may run for 15 minutes."""

LONGEST_ROUND = 1.0
"""The same, in seconds, once there was a throttle: how slow probing gets for slow functions."""

LARGEST_STEP = 0.2
"""The largest part of a round that time alone adds at once, so that growth is spread out."""

LEAST_CUT = 0.5
"""The smallest cut, in attempts: the limit comes back to what was admitted."""

LEAST_GIVEN = 1.0
"""The smallest cut that gives way to others, in attempts."""

SETTLED = 1.0
"""Rounds after a cut within which another throttle means that the cut was not deep enough."""

CURVATURE = 0.02
"""How steep the way back to the ceiling is, in attempts per round cubed, as in TCP CUBIC."""

PROBE = 0.15
"""How fast the limit starts to rise through the ceiling, in attempts per round."""

SMALL_PROBE = 0.03
"""The same for ceilings below 5, as a part of them: one more is a lot there."""

PROBE_GROWTH = 2.0
"""In how many rounds that speed grows by a factor of e, where the ceiling is high."""

SMALL_PROBE_GROWTH = 3.0
"""The same for ceilings of 10 and less. One with a small part of a limit has many beside it, and
probing costs them throttles. In between, and beyond, it is 2 + 10 / ceiling."""

SHARED_PROBE = 0.45
"""How fast the limit rises while others share it, in attempts per round, for ceilings up to
`MODEST`, and with their square root beyond. Who has less gains as much as who has more."""

SHARED_BEND = 0.002
"""How much faster it gets, in attempts per round cubed, for ceilings up to `MODEST`. It has to be
little: whoever is not throttled for a while by chance would take what the others leave."""

MOST_SHARED_BEND = 0.1
"""The most that it gets to, at ceilings of about 180: to grow by a large part of them takes time.
In between it rises with their square."""


class ConcurrencyLimit:
    """A limit on attempts in flight that follows what is throttled.

    Args:
        initial: The limit to start with.
        minimum: The least that it may become.
        maximum: The most that it may become.
    """

    __slots__ = (
        "_ceilings",
        "_is_sharing",
        "_is_starting",
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
        self._is_starting = True
        self._plateau = 0.0
        self._rounds_to_plateau = 0.0
        self._rounds = 0.0
        self._seen = 0.0
        # Whether it was filled when it was last looked at. If it was not, and is not, then what
        # succeeds or passes of time changes nothing, and need not be told.
        self.is_in_use: bool = False

    def succeeded(self, *, now: float, in_flight: int) -> None:
        """Learn that an attempt was admitted.

        Args:
            now: Seconds on any clock that never goes back.
            in_flight: The attempts in flight, this one included.
        """
        self._advance(now, in_flight, 1 / self._value)

    def tick(self, *, now: float, in_flight: int) -> None:
        """Learn that time has passed without a throttle."""
        self._advance(now, in_flight, 0.0)

    def throttled(self, *, in_flight: int) -> None:
        """Learn that an attempt was refused. Call it once for a burst.

        Args:
            in_flight: The attempts that were in flight when it was sent, itself not included.
        """
        ceiling = max(min(float(in_flight), self._value), 1.0)
        cut = self._ceilings.found(ceiling, settled=self._rounds >= SETTLED)
        gives_way = cut.way_back is not WayBack.TO_CEILING
        least = LEAST_GIVEN if gives_way else LEAST_CUT
        self._value = max(min(ceiling * (1 - cut.depth), ceiling - least), float(self.minimum))
        self._plateau = self._value if gives_way else max(ceiling, self._value)
        self._rounds_to_plateau = math.cbrt((self._plateau - self._value) / CURVATURE)
        self._rounds = 0.0
        self._is_sharing = cut.way_back is WayBack.SHARING
        self._is_starting = False
        self.limit = int(self._value + 0.5)

    def lower_to(self, most: int) -> None:
        """Learn that there is room for so many and no more, where that is known and not guessed.

        It goes there and not below, and rises from there as it would through a ceiling.
        """
        self._value = max(min(self._value, float(most)), float(self.minimum))
        self._plateau = self._value
        self._rounds_to_plateau = self._rounds = 0.0
        self._is_sharing = self._is_starting = False
        self.limit = int(self._value + 0.5)

    def _advance(self, now: float, in_flight: int, step: float) -> None:
        was_in_use, self.is_in_use = self.is_in_use, in_flight >= self.limit
        elapsed, self._seen = now - self._seen, now
        if not self.is_in_use or self._value >= self.maximum:
            return
        if was_in_use:
            by_time = elapsed / (START_ROUND if self._is_starting else LONGEST_ROUND)
            step = max(step, min(by_time, LARGEST_STEP))
        if self._is_starting:
            grown = self._value * (1 + step)
        else:
            self._rounds += step
            grown = self._curve(self._rounds - self._rounds_to_plateau)
        self._value = min(max(self._value, grown), float(self.maximum))
        self.limit = int(self._value + 0.5)

    def _curve(self, past: float) -> float:
        """Return the limit so many rounds past the plateau."""
        plateau = self._plateau
        if past < 0:
            return plateau + CURVATURE * past**3
        if self._is_sharing:
            size = max(1.0, plateau / MODEST)
            bend = min(SHARED_BEND * size**2, MOST_SHARED_BEND)
            return plateau + SHARED_PROBE * math.sqrt(size) * past + bend * past**3
        growth = min(PROBE_GROWTH + 10 / plateau, SMALL_PROBE_GROWTH)
        # Beyond 50 units the exponent only serves to overflow.
        steep = growth * math.expm1(min(past / growth, 50.0))
        return plateau + min(PROBE, SMALL_PROBE * plateau) * steep
