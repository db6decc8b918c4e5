"""A clock that runs faster than the machine's, so that minutes of waiting take seconds."""

import time

import anyio


class AcceleratedClock:
    """Passes for an invoker's clock; sleeps that overlap do so here too, unlike on `InstantClock`.

    Args:
        factor: How many of its seconds one second takes.
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
        """Wait for so many of its own seconds."""
        await anyio.sleep(seconds / self._factor)

    def _passed(self) -> float:
        return (time.monotonic() - self._began) * self._factor
