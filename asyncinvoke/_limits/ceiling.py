"""What a throttle tells of the ceiling: the same as before, fallen, risen, or shared with others.

No clock and no I/O; `concurrency.py` moves the limit as this says. `docs/limits.md` tells why.
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
    """Compares each ceiling that is found with those before it.

    A throttle says that the limit is full, and not whose it is. Two cases want opposite answers. A
    client that is alone should go a hair below the ceiling and come straight back: whatever it
    leaves free stays empty. One of many should give way by a fixed part and come back at the pace of
    all, as TCP does, or whoever came first keeps what it has. Nothing in the answer tells them apart,
    and a client that guessed would be either wasteful or greedy.

    What does tell is where the ceiling was the last time. Alone, it is found where it was, within an
    attempt or two. Where others share the limit, what one has when it is full depends on what they
    have, and moves from one throttle to the next. So a ceiling that moved means others, for some
    throttles to come, since they do not leave because it stood still once. A ceiling that stays means
    alone, or that a newcomer is kept out by somebody who always comes straight back; so now and then
    a little room is left, and if somebody takes it, the ceiling moves. The ramp at the start goes
    far beyond before it is told, so its first ceilings are not compared with anything.
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
