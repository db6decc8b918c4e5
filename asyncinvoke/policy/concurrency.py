"""How many attempts to keep in flight: the arithmetic that finds a ceiling and stays under it.

Pure: what became of an attempt goes in, with the time; a number comes out. `docs/limits.md` tells
how it works and why; `benchmarks/simulate.py` shows it at scale.
"""

import math

START_ROUND = 0.25
"""Seconds after which attempts that were not refused count as admitted, until the first throttle.
Lambda refuses within tens of milliseconds, while a function may run for 15 minutes."""

LONGEST_ROUND = 1.0
"""The same, in seconds, once there was a throttle: how slow probing gets for slow functions."""

LARGEST_STEP = 0.2
"""The largest part of a round that time alone adds at once, so that growth is spread out."""

FIRST_CUT = 0.05
"""How far to go below the ceiling at the first throttle, as a part of it, as are all cuts."""

RAMP_CUT = 0.1
"""How far to go at throttles that follow at once: the ramp was steep, and went well beyond."""

STEADY_CUTS = (0.04, 0.02, 0.01)
"""How far to go below a ceiling that was found again, the first, second and further times."""

LEAST_CUT = 0.5
"""The smallest of these cuts, in attempts: the limit comes back to what was admitted."""

ROOM_CUT = 0.1
"""How far to go below a steady ceiling now and then, to leave room for a newcomer."""

ROOM_AFTER = 8
"""How often a ceiling is found again before that."""

SHARED_CUT = 0.25
"""How far to go below a ceiling that has come down: it fell, or others want their part."""

SAME_CEILING = 0.05
"""By how much two ceilings may differ and still be the same, as a part of them."""

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


class ConcurrencyLimit:
    """A limit on attempts in flight that follows what is throttled.

    Args:
        initial: The limit to start with.
        minimum: The least that it may become.
        maximum: The most that it may become.
    """

    __slots__ = (
        "_ceiling",
        "_found",
        "_in_use",
        "_plateau",
        "_rounds",
        "_rounds_to_plateau",
        "_seen",
        "_value",
        "limit",
        "maximum",
        "minimum",
    )

    def __init__(self, *, initial: int, minimum: int, maximum: int) -> None:
        self.limit = initial
        self.minimum = minimum
        self.maximum = maximum
        self._value = float(initial)
        self._ceiling: float | None = None
        self._found = -1
        self._plateau = 0.0
        self._rounds_to_plateau = 0.0
        self._rounds = 0.0
        self._seen = 0.0
        self._in_use = False

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
        cut, gives_way = self._judge(ceiling)
        least = 1.0 if gives_way else LEAST_CUT
        self._value = max(min(ceiling * (1 - cut), ceiling - least), float(self.minimum))
        self._plateau = self._value if gives_way else max(ceiling, self._value)
        self._rounds_to_plateau = math.cbrt((self._plateau - self._value) / CURVATURE)
        self._rounds = 0.0
        self._ceiling = ceiling
        self.limit = int(self._value + 0.5)

    def _judge(self, ceiling: float) -> tuple[float, bool]:
        """Compare a ceiling with the last one: how deep to cut, and whether to come back slowly."""
        last = self._ceiling
        if last is None:
            return FIRST_CUT, False
        settled = self._rounds >= SETTLED
        if self._found < 0:
            # The first ceilings are those of a steep ramp, too high to compare with.
            self._found = 0 if settled else -1
            return STEADY_CUTS[0] if settled else RAMP_CUT, False
        # Half an attempt, so that a small ceiling has to be the very same.
        if settled and abs(ceiling - last) <= max(0.5, SAME_CEILING * ceiling):
            self._found += 1
            if self._found < ROOM_AFTER:
                return STEADY_CUTS[min(self._found, len(STEADY_CUTS)) - 1], False
            self._found = 1
            return ROOM_CUT, True
        self._found = 0
        if settled and ceiling > last:
            return STEADY_CUTS[0], False
        return SHARED_CUT, True

    def _advance(self, now: float, in_flight: int, step: float) -> None:
        was_in_use, self._in_use = self._in_use, in_flight >= self.limit
        elapsed, self._seen = now - self._seen, now
        if not self._in_use or self._value >= self.maximum:
            return
        starting = self._ceiling is None
        if was_in_use:
            by_time = elapsed / (START_ROUND if starting else LONGEST_ROUND)
            step = max(step, min(by_time, LARGEST_STEP))
        if starting:
            grown = self._value * (1 + step)
        else:
            self._rounds += step
            grown = self._curve(self._rounds - self._rounds_to_plateau)
        self._value = min(max(self._value, grown), float(self.maximum))
        self.limit = int(self._value + 0.5)

    def _curve(self, past: float) -> float:
        """Give the limit so many rounds past the plateau: flat near it, steep far from it."""
        if past < 0:
            return self._plateau + CURVATURE * past**3
        growth = min(PROBE_GROWTH + 10 / self._plateau, SMALL_PROBE_GROWTH)
        # Beyond 50 units the exponent only serves to overflow.
        steep = growth * math.expm1(min(past / growth, 50.0))
        return self._plateau + min(PROBE, SMALL_PROBE * self._plateau) * steep
