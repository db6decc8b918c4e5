"""Time and sleep, as passed to the engine."""

import threading
import time as machine
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

    # The functions themselves: each invocation asks for the time five times.
    time = staticmethod(machine.time)
    monotonic = staticmethod(machine.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Wait; may be cancelled."""
        await anyio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
"""The real thing."""

_replacements: dict[object, Callable[[], Clock]] = {}
_replacing = threading.Lock()


def default_clock() -> Clock:
    """Return a clock to an invoker that is opened and has none of its own."""
    with _replacing:
        make = next(reversed(_replacements.values()), None)
    return SYSTEM_CLOCK if make is None else make()


@contextmanager
def clocks_from(make: Callable[[], Clock]) -> Iterator[None]:
    """Let invokers that are opened meanwhile, anywhere in the process, have clocks from `make`.

    Blocks may end in any order, as those of several threads do: the one begun last decides.
    """
    block = object()
    with _replacing:
        _replacements[block] = make
    try:
        yield
    finally:
        with _replacing:
            del _replacements[block]
