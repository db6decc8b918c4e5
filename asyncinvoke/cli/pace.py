"""How fast a run goes, and what holds it back: decided from what was seen. Knows no clock."""

from collections import deque

WINDOW = 5.0
"""Seconds over which the present rate is measured."""

CHANGE = 0.25
"""By which share the number that may be in flight has to move to begin a new pace. A limit that is
being found moves a little all the time."""

SETTLED = 2.0
"""Seconds of a new pace until it is trusted."""

REMEMBERED = 2.0
"""Seconds for which what held a run back is shown after it was seen last."""

OWN_LIMIT = "the limit is "
"""How it is said that nothing holds a run back but the concurrency that was asked for."""


class Pace:
    """Outcomes per second: of late, and since what may be in flight has changed."""

    def __init__(self) -> None:
        self._seen = deque([(0.0, 0)])
        self._since = (0.0, 0)
        self._allowed = 0

    def at(self, elapsed: float, done: int, allowed: int) -> tuple[float, float]:
        """Take note of a moment.

        Args:
            elapsed: Seconds since the run began.
            done: Outcomes so far, of this session alone.
            allowed: How many may be in flight now.

        Returns:
            The rate of late, and the one to reckon with for what is left.
        """
        self._seen.append((elapsed, done))
        while len(self._seen) > 2 and elapsed - self._seen[0][0] > WINDOW:
            self._seen.popleft()
        late = _rate(self._seen[0], elapsed, done)
        if abs(allowed - self._allowed) > CHANGE * self._allowed:
            self._since, self._allowed = (elapsed, done), allowed
        if elapsed - self._since[0] < SETTLED:
            return late, late
        return late, _rate(self._since, elapsed, done)


class HeldBack:
    """What holds a run back, for as long as it takes to read it."""

    def __init__(self) -> None:
        self._said: str | None = None
        self._at = 0.0

    def at(self, elapsed: float, waiting_for: str | None) -> str | None:
        """Take note of what a run waits for now, if anything; return what to show."""
        if waiting_for is not None and not waiting_for.startswith(OWN_LIMIT):
            self._said, self._at = waiting_for, elapsed
        elif elapsed - self._at > REMEMBERED:
            self._said = None
        return self._said


def _rate(since: tuple[float, int], elapsed: float, done: int) -> float:
    began, before = since
    return (done - before) / (elapsed - began) if elapsed > began else 0.0
