"""Skips the waits between attempts: a clock whose sleep takes no time, and a process-wide mode."""

import math
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel

from asyncinvoke._clock import clocks_from

SHORT = 0.05
"""Sleeps of up to this many seconds are real. A limiter polls calls in flight with such sleeps; if
they took no time, the clock would run far ahead of the responses."""


class InstantClock:
    """A clock for an invoker that skips waits: `Invoker(..., clock=InstantClock())`.

    A sleep returns immediately and advances the clock, so that deadlines, budgets and histories see
    time pass; concurrent sleeps add up. Sleeps of up to 0.05 s are real, so that pending responses
    can arrive. Between sleeps, the clock follows the system clock.
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


class NoWaits:
    """The context manager returned by `no_waits`."""

    def __init__(self) -> None:
        self._clocks: list[InstantClock] = []
        self._blocks: list[AbstractContextManager[None]] = []

    def __enter__(self) -> Self:
        block = clocks_from(self._new_clock)
        block.__enter__()
        self._blocks.append(block)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._blocks.pop().__exit__(exc_type, exc, traceback)

    @property
    def slept(self) -> list[float]:
        """The skipped waits of all invokers opened in the block, in seconds.

        These are the waits between attempts, and those of an adaptive limit for its next permit.
        """
        return [seconds for clock in list(self._clocks) for seconds in clock.slept]

    def _new_clock(self) -> InstantClock:
        # One clock per invoker: a wait of one must not advance the deadlines of another.
        clock = InstantClock()
        self._clocks.append(clock)
        return clock


def no_waits() -> NoWaits:
    """Skip the waits of every invoker that is opened in the block.

    For code that opens its own invokers: `with no_waits(): ...`. It applies to the whole process,
    including other threads; blocks can be nested and overlap. An invoker keeps its clock when the
    block ends. Invokers opened before the block, or with an explicit clock, are not affected.

    Only waits are skipped, as described in `InstantClock`; attempts take real time.
    """
    return NoWaits()
