"""A clock whose sleep takes no time, so that tests keep their retries without the waits."""

import math
import time

import anyio
import anyio.lowlevel

SHORT = 0.05
"""Sleeps of up to this many seconds are real. A limiter polls calls in flight with such sleeps; if
they took no time, the clock would run far ahead of the responses."""


class InstantClock:
    """A clock for an invoker that skips waits: `Invoker(..., clock=InstantClock())`.

    A sleep returns immediately and advances the clock, so that deadlines, budgets and histories see
    time pass. Sleeps of up to 0.05 s are real, so that pending responses can arrive. Between
    sleeps, the clock follows the system clock.
    """

    def __init__(self) -> None:
        self.slept: list[float] = []
        """All waits so far, in seconds."""
        self._ahead = 0.0

    def time(self) -> float:
        """Return seconds since the epoch, including skipped waits."""
        return time.time() + self._ahead

    def monotonic(self) -> float:
        """Return monotonic seconds, including skipped waits."""
        return time.monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Advance by `seconds`; lets other tasks run, and can be cancelled.

        As with a real sleep, infinity never ends.

        Raises:
            ValueError: `seconds` is NaN.
        """
        # Either of the two would leave a clock on which no time passes any more.
        if math.isnan(seconds):
            raise ValueError("seconds must be a number, not NaN")
        self.slept.append(seconds)
        if seconds == math.inf:
            await anyio.sleep_forever()
        if seconds <= SHORT:
            await anyio.sleep(seconds)
            return
        self._ahead += seconds
        await anyio.lowlevel.checkpoint()
