"""Time and sleep, as the engine is given them."""

import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """Where time comes from; tests pass one whose sleep takes no time."""

    def time(self) -> float:
        """Return the seconds since the epoch, for people and for HTTP dates."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; may be cancelled."""
        ...


class SystemClock:
    """The clock of the machine and the sleep of the event loop."""

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait; may be cancelled."""
        await anyio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
"""The real thing."""
