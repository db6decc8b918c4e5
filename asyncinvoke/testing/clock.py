"""A clock whose sleep takes no time, so that tests keep their retries without the waits."""

import time

import anyio
import anyio.lowlevel

SHORT = 0.05
"""Sleeps of up to this many seconds are real. A limiter that waits for what is in flight sleeps so,
and if that took no time, the clock would run away from the answers."""


class InstantClock:
    """Passes for an invoker's clock: `Invoker(..., clock=InstantClock())`.

    A sleep returns at once and moves the clock on by its seconds, so that deadlines, budgets and
    histories see the time pass. Sleeps of up to 0.05 s are real, so that answers on their way can
    arrive. Between sleeps the clock runs with the machine's.
    """

    def __init__(self) -> None:
        self.slept: list[float] = []
        """Every wait so far, in seconds."""
        self._ahead = 0.0

    def time(self) -> float:
        """Return seconds since the epoch, the waits included."""
        return time.time() + self._ahead

    def monotonic(self) -> float:
        """Return seconds that never go back, the waits included."""
        return time.monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Move on by `seconds`; lets other tasks run, and may be cancelled."""
        self.slept.append(seconds)
        if seconds <= SHORT:
            await anyio.sleep(seconds)
            return
        self._ahead += seconds
        await anyio.lowlevel.checkpoint()
