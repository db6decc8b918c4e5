"""A clock that runs faster than the machine's, so that minutes of waiting take seconds."""

import time

import anyio


class AcceleratedClock:
    """A clock for an invoker; overlapping sleeps overlap, unlike on `InstantClock`.

    Args:
        factor: How many of its seconds pass in one real second.
    """

    def __init__(self, factor: float = 50.0) -> None:
        self._factor = factor
        self._began = time.monotonic()
        self._epoch = time.time()

    def time(self) -> float:
        """Return seconds since the epoch."""
        return self._epoch + self._passed()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._began + self._passed()

    async def sleep(self, seconds: float) -> None:
        """Wait for a number of its seconds."""
        await anyio.sleep(seconds / self._factor)

    def _passed(self) -> float:
        return (time.monotonic() - self._began) * self._factor
