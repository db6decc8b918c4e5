"""Time and sleep, as passed to the engine."""

import threading
import time as machine
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import anyio


class Clock(Protocol):
    """The source of time; tests pass one whose sleep returns immediately."""

    def time(self) -> float:
        """Return the seconds since the epoch, for timestamps and HTTP dates."""
        ...

    def monotonic(self) -> float:
        """Return monotonic seconds, for durations and deadlines."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Sleep; can be cancelled. Afterwards, `monotonic` must have advanced by that much."""
        ...


class SystemClock:
    """The system clock and the event loop's sleep."""

    # Bound directly, without wrappers: each invocation reads the time five times.
    time = staticmethod(machine.time)
    monotonic = staticmethod(machine.monotonic)
    sleep = staticmethod(anyio.sleep)


SYSTEM_CLOCK = SystemClock()
"""The shared system clock."""

_replacements: dict[object, Callable[[], Clock]] = {}
_replacing = threading.Lock()


def default_clock() -> Clock:
    """Return the clock for an invoker that is opened without one of its own."""
    with _replacing:
        make = next(reversed(_replacements.values()), None)
    return SYSTEM_CLOCK if make is None else make()


@contextmanager
def clocks_from(make: Callable[[], Clock]) -> Iterator[None]:
    """Use clocks from `make` for all invokers opened in the process while the block is active.

    Blocks may end in any order, as with several threads; the most recently entered one wins.
    """
    block = object()
    with _replacing:
        _replacements[block] = make
    try:
        yield
    finally:
        with _replacing:
            del _replacements[block]
