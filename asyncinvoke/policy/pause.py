"""How long to wait before the next attempt where even a single one is refused."""

from collections.abc import Callable

FIRST = 0.05
"""The first pause, in seconds."""

LONGEST = 5.0
"""The longest, in seconds: the pace at which a function without any concurrency is asked."""


class Pause:
    """A pause that doubles with each refusal, and all but ends with a success.

    After a success the next attempt starts at once, since the place that the last one had is free.
    The pause itself is quartered only, so that a further refusal soon finds its way back to it.

    Args:
        random: Gives numbers from 0 to 1, so that many clients do not come back together.
    """

    __slots__ = ("_random", "seconds", "until")

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self.seconds = 0.0
        self.until = 0.0

    def refused(self, *, now: float, at_least: float = FIRST) -> None:
        """Learn that an attempt was refused."""
        self.seconds = min(max(2 * self.seconds, FIRST, at_least), LONGEST)
        self.until = now + self.seconds * (1 + self._random()) / 2

    def succeeded(self, *, now: float) -> None:
        """Learn that an attempt was admitted."""
        seconds = self.seconds / 4
        self.seconds = seconds if seconds >= FIRST else 0.0
        self.until = now
