"""Ends an exchange whose time has come, with one timer for a connection, which is seldom set."""

import math
import time
from collections.abc import Callable
from typing import Protocol

from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.connection import Limits


class Timed(Protocol):
    """As much of a connection as its clock needs."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Have something called on this event loop; return what calls it off."""
        ...

    def unsent(self) -> int | None:
        """Return something that changes as bytes of a request go out; `None` if all are out."""
        ...

    def is_awaited(self) -> bool:
        """Whether somebody waits for what comes; else the silence is ours."""
        ...

    def end(self, fault: TransportFault, message: str) -> None:
        """End the exchange with this fault, and the connection."""
        ...


class ExchangeClock:
    """Keeps the deadline of an exchange, and tells silence and stalls.

    Nearly every exchange ends long before its time, so that to set a timer for each and to cancel it
    is work for nothing: 1 us of 12 on asyncio, and on trio a scope takes 7. Here an exchange costs a
    comparison. Only one that is due before the timer rings sets it anew; where the limits are the
    same for all, that is the first. When it rings it looks at the exchange that is under way by
    then, and is set for when that is due.
    """

    def __init__(self, timed: Timed) -> None:
        """Make one for a connection."""
        self._timed: Timed | None = timed
        self._call_off: Callable[[], None] | None = None
        self._rings = math.inf
        self._unsent: int | None = None
        self._progress: Progress | None = None

    def begin(self, progress: Progress, limits: Limits) -> None:
        """Begin with an exchange."""
        self._progress = progress
        self._limits = limits
        self._heard = now = time.monotonic()
        due = now + limits.soonest
        if progress.deadline < due:
            due = progress.deadline
        if due < self._rings:
            self._set(due)

    def heard(self) -> None:
        """Note that something has moved."""
        self._heard = time.monotonic()

    def end(self) -> None:
        """Note that no exchange is under way."""
        self._progress = None

    def stop(self) -> None:
        """Never ring again, and let go of the connection."""
        self._progress = self._timed = None
        self._rings = -math.inf
        if self._call_off is not None:
            self._call_off()
            self._call_off = None

    def _set(self, due: float) -> None:
        if self._timed is None:
            return
        if self._call_off is not None:
            self._call_off()
        self._rings = due
        self._call_off = self._timed.call_later(max(0.0, due - time.monotonic()), self._ring)

    def _ring(self) -> None:
        self._call_off = None
        self._rings = math.inf
        progress, timed = self._progress, self._timed
        if progress is None or timed is None:
            return
        now = time.monotonic()
        if now >= progress.deadline:
            timed.end(TransportFault.INTERRUPTED, "its time was up")
            return
        fault, limit = TransportFault.READ_TIMEOUT, self._limits.read_timeout
        unsent, self._unsent = self._unsent, timed.unsent()
        if self._unsent is not None:
            fault, limit = TransportFault.WRITE_TIMEOUT, self._limits.write_timeout
        if unsent != self._unsent or not timed.is_awaited():
            self._heard = now
        silent = self._heard + limit
        if now >= silent:
            timed.end(fault, f"nothing moved for {limit:g} s")
        else:
            self._set(min(progress.deadline, silent))
