"""Timers of any event loop, and how long an answer is waited for after one that fired late."""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import TypeAlias

from asyncinvoke._transport.process import on_asyncio

CallLater: TypeAlias = Callable[[float, Callable[[], None]], Callable[[], None]]
"""Schedules a callback after some seconds; returns a function that cancels it."""

LATE = 0.1
"""How late the timer of a deadline may fire, in seconds. If it is later, this process was suspended, or
something blocked its event loop. The answer may have come in time: it is read before it is given up."""

GRACE = 0.1
"""How long the event loop gets for that, in seconds. It gets this once: it may be blocked all the time."""


class Deadline:
    """Calls a function at a deadline; later, if the event loop was late, as something may have come.

    Args:
        deadline: The deadline, on `time.monotonic()`.
        callback: The function.
    """

    __slots__ = ("_call_later", "_callback", "_deadline", "cancel")

    def __init__(self, deadline: float, callback: Callable[[], None]) -> None:
        self._deadline = deadline
        self._callback = callback
        self._call_later: CallLater = asyncio_call_later if on_asyncio() else trio_call_later
        self.cancel: Callable[[], None] = self._call_later(
            max(0.0, deadline - time.monotonic()), self._ring
        )
        """Calls the timer off."""

    def _ring(self) -> None:
        if time.monotonic() - self._deadline > LATE:
            self.cancel = self._call_later(GRACE, self._callback)
        else:
            self._callback()


def asyncio_call_later(seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
    """Schedule a callback on the running loop of asyncio; return a function that cancels it."""
    return asyncio.get_running_loop().call_later(seconds, callback).cancel


def trio_call_later(seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
    """Schedule a callback on trio; return a function that cancels it.

    There is no task of ours to wait in, so a system task is used.
    """
    trio = sys.modules["trio"]
    scope = trio.CancelScope()

    async def wait() -> None:
        with scope:
            await trio.sleep(seconds)
            callback()

    trio.lowlevel.spawn_system_task(wait)
    cancel: Callable[[], None] = scope.cancel
    return cancel
