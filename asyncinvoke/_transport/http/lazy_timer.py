"""One timer that serves every deadline of a connection, and is seldom set."""

import asyncio
import math
import time
from collections.abc import Callable


class LazyTimer:
    """Rings at the latest when it must, and is then told when it must next.

    Nearly every exchange ends long before its deadline, so that setting and cancelling a timer for
    each is work for nothing: 1 us of 12. Here a new deadline costs a comparison. Only an earlier one
    than the timer is set for sets it anew; with the same limits for each exchange that is the first,
    and from then on the timer rings once in that time, and asks.
    """

    __slots__ = ("_due", "_handle", "_loop", "_ring")

    def __init__(self, ring: Callable[[], float]) -> None:
        """Make one that is not set.

        Args:
            ring: Called when something may be due; returns when it will be, on
                `time.monotonic()`, or `math.inf`.
        """
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._due = math.inf
        self._handle: asyncio.TimerHandle | None = None

    def ensure(self, due: float) -> None:
        """Have it ring at `due` at the latest."""
        if due < self._due:
            if self._handle is not None:
                self._handle.cancel()
            self._due = due
            self._handle = self._loop.call_later(max(0.0, due - time.monotonic()), self._rung)

    def cancel(self) -> None:
        """Let it ring no more."""
        self._due = -math.inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _rung(self) -> None:
        self._handle = None
        self._due = math.inf
        self.ensure(self._ring())
