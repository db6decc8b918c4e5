"""Permits: how many attempts may be in flight, and who is next."""

from collections import deque

import anyio


class Limiter:
    """Hands out at most `limit` permits at a time, in the order in which they are asked for.

    A permit that is free is taken without a switch of tasks.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._in_flight = 0
        self._waiters: deque[anyio.Event] = deque()

    @property
    def in_flight(self) -> int:
        """Permits that are held."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """Tasks that wait for a permit."""
        return len(self._waiters)

    async def acquire(self) -> None:
        """Take a permit, after all who asked before."""
        if self._in_flight < self.limit and not self._waiters:
            self._in_flight += 1
            return
        granted = anyio.Event()
        self._waiters.append(granted)
        try:
            await granted.wait()
        except BaseException:
            if granted.is_set():
                self.release()
            else:
                self._waiters.remove(granted)
            raise

    def release(self) -> None:
        """Give a permit back and hand it to whoever is next."""
        self._in_flight -= 1
        while self._waiters and self._in_flight < self.limit:
            self._in_flight += 1
            self._waiters.popleft().set()

    def __repr__(self) -> str:
        return f"<Limiter {self._in_flight}/{self.limit} in flight, {self.waiting} waiting>"
