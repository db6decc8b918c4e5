"""Ends an exchange whose time has come, with one timer for a connection, which is seldom set."""

import asyncio
import math
import time
from collections.abc import Callable

from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.connection import WRITTEN_IN_PART, Limits
from asyncinvoke._transport.http.request_writer import RequestWriter


class ExchangeClock:
    """Keeps the deadline of an exchange, and tells silence and stalls.

    Nearly every exchange ends long before its time, so that to set a timer for each and to cancel it
    is work for nothing: 1 us of 12. Here an exchange costs a comparison. Only one that is due before
    the timer rings sets it anew; where the limits are the same for all, that is the first. When it
    rings it looks at the exchange that is under way by then, and is set for when that is due.
    """

    def __init__(
        self,
        writer: RequestWriter,
        is_awaited: Callable[[], bool],
        expired: Callable[[TransportFault, str], None],
    ) -> None:
        """Make one for a connection.

        Args:
            writer: Knows whether the request still moves.
            is_awaited: Whether somebody waits for what comes; else the silence is ours.
            expired: Called with the fault, and with what happened in words.
        """
        self._writer = writer
        self._is_awaited = is_awaited
        self._expired = expired
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._rings = math.inf
        self._waiting = 0
        self._progress: Progress | None = None

    def begin(self, progress: Progress, limits: Limits) -> None:
        """Begin with an exchange that was written as far as its phase says."""
        self._progress = progress
        self._limits = limits
        self._heard = now = time.monotonic()
        is_writing = progress.phase is WRITTEN_IN_PART
        due = now + (limits.write_timeout if is_writing else limits.read_timeout)
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
        """Never ring again, and let go of whom it would tell."""
        self._progress = None
        self._rings = -math.inf
        del self._expired, self._is_awaited
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings = due
        self._timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._rings = math.inf
        progress = self._progress
        if progress is None:
            return
        now = time.monotonic()
        if now >= progress.deadline:
            self._expired(TransportFault.INTERRUPTED, "its time was up")
            return
        if self._writer.phase is WRITTEN_IN_PART:
            fault, limit = TransportFault.WRITE_TIMEOUT, self._limits.write_timeout
            waiting, self._waiting = self._waiting, self._writer.waiting
            is_silent = waiting == self._waiting
        else:
            fault, limit = TransportFault.READ_TIMEOUT, self._limits.read_timeout
            is_silent = self._is_awaited()
        if not is_silent:
            self._heard = now
        silent = self._heard + limit
        if now >= silent:
            self._expired(fault, f"nothing moved for {limit:g} s")
        else:
            self._set(min(progress.deadline, silent))
