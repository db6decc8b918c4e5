"""A clock whose sleep takes no time, so that tests keep their retries but not their waits."""

import time

import anyio.lowlevel


class InstantClock:
    """Passes for an invoker's clock: `Invoker(..., clock=InstantClock())`.

    A sleep returns at once and moves the clock on by its seconds, so that deadlines, budgets and
    histories see the time pass. Between sleeps it runs with the machine's clock.
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
        self._ahead += seconds
        await anyio.lowlevel.checkpoint()
