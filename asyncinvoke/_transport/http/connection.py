"""What the pool requires of a connection on any event loop, and the timer that ends an exchange."""

import contextlib
import math
import select
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeAlias

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import Answer, Headers

# Reading an enum member takes 0.2 us on Python 3.11, and an exchange reads seven of them.
CONNECTED = Phase.CONNECTED
WRITTEN_IN_PART = Phase.WRITTEN_IN_PART
WRITTEN = Phase.WRITTEN
HEAD_READ = Phase.HEAD_READ
BODY_READ = Phase.BODY_READ

SLICE = 262_144
"""The number of bytes of a large body written at once.

If a request with a larger body is refused, the peer may have answered without reading all of it.
Closing with unread data causes a reset, which may already be on its way, so the connection is not
reused.
"""


uptime: Callable[[], float] = time.monotonic
"""Returns seconds of a clock that goes on while the machine is suspended, where there is one.

A peer has closed its connections to a laptop that was asleep for an hour. On Linux `time.monotonic`
stands still meanwhile, so they would seem to have been idle for a moment.
"""
if hasattr(time, "CLOCK_BOOTTIME"):
    uptime = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of an exchange."""

    most_body: int
    """The maximum size of a body that is read as a whole, in bytes."""

    read_timeout: float
    """The maximum silence after the request was written, in seconds."""

    write_timeout: float
    """The maximum time without progress while the request is written, in seconds."""

    soonest: float = field(init=False)
    """The shorter of the two timeouts, in seconds."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "soonest", min(self.read_timeout, self.write_timeout))


class Connection(Protocol):
    """An open connection, which carries one exchange at a time.

    Each exchange updates its `Progress` as it goes, including when it fails or is cancelled, and
    ends with an answer, a `WireError`, or the cancellation of its caller.
    """

    born: float
    """When it was opened, as `uptime()`."""

    reused: bool
    """Whether it has carried an exchange before; set by the pool."""

    on_end: "Callable[[Connection], object] | None"
    """Called when the connection is fully closed, by either side."""

    @property
    def reusable(self) -> bool:
        """Whether the last exchange left the connection reusable (keep-alive)."""
        ...

    def tls(self) -> ssl.SSLObject | None:
        """Return the TLS object of this connection; `None` for a plain connection."""
        ...

    def is_quiet(self) -> bool:
        """Return whether the connection is alive and no unsolicited data has arrived."""
        ...

    def exchange(
        self, head: bytes, body: bytes, progress: Progress, limits: Limits
    ) -> Awaitable[Answer]:
        """Write a request and read the whole answer."""
        ...

    def begin_stream(
        self, head: bytes, body: bytes, progress: Progress, limits: Limits
    ) -> Awaitable[tuple[int, Headers]]:
        """Write a request and read the head of the answer: its status and headers."""
        ...

    async def receive(self) -> list[bytes]:
        """Return the pieces of a streamed body that have arrived; an empty list at its end."""
        ...

    def end(self, fault: TransportFault, message: str) -> None:
        """Fail the current exchange with this fault, and close the connection."""
        ...

    def abort(self) -> None:
        """Close immediately, without close_notify; safe to call again."""
        ...

    async def wait_closed(self) -> None:
        """Wait, after `abort`, until the connection is closed."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Schedule a callback on this event loop; return a function that cancels it."""
        ...


Opener: TypeAlias = Callable[[Progress], Awaitable[Connection]]
"""Opens one connection; errors of the underlying library are passed through."""


def said_farewell(tls: ssl.SSLObject) -> bool:
    """Return whether a peer whose data has been read to the end sent a TLS close_notify."""
    try:
        return tls.read(1) == b""
    except ssl.SSLError:
        return False


def rest_of_tls(tls: ssl.SSLObject) -> bytes:
    """Return all data that has been received and not read yet."""
    pieces: list[bytes] = []
    with contextlib.suppress(ssl.SSLError):
        while piece := tls.read(SLICE):
            pieces.append(piece)
    return b"".join(pieces)


def look_at(descriptor: int) -> Callable[[], list[Any]]:
    """Return a function that polls, in half a microsecond, whether a descriptor is readable.

    EOF, a reset, a TLS close_notify and unsolicited bytes all make it readable.
    """
    if not hasattr(select, "poll"):
        return lambda: select.select([descriptor], (), (), 0)[0]
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return partial(poll.poll, 0)


def has_hung_up(descriptor: int) -> bool:
    """Return whether the peer of a socket has closed it, whatever there is to read before that.

    In TLS 1.3 session tickets follow the handshake, so a new connection is seldom quiet, and the
    peer's end may stand behind them if the event loop was busy. False where this cannot be seen.
    """
    if not hasattr(select, "POLLRDHUP"):  # only Linux has it
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP)
    return bool(poll.poll(0))


def note_head(progress: Progress, status: int, head: bytes) -> None:
    """Record the head of an answer whose body is incomplete."""
    if progress.head is None:
        progress.head = status, Headers(head)
    if progress.phase is WRITTEN:
        progress.phase = HEAD_READ


class Timed(Protocol):
    """The part of a connection that its clock needs."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Schedule a callback on this event loop; return a function that cancels it."""
        ...

    def unsent(self) -> int | None:
        """Return a value that changes as bytes of a request are sent; `None` if all are sent."""
        ...

    def is_under_way(self) -> bool:
        """Return whether an exchange is in progress."""
        ...

    def is_awaited(self) -> bool:
        """Return whether a caller is waiting for data; if not, silence is not the peer's fault."""
        ...

    def end(self, fault: TransportFault, message: str) -> None:
        """Fail the exchange with this fault, and close the connection."""
        ...


_LATE = 1.0
"""How late the timer of an exchange may fire, in seconds. If it is later, this process was suspended, or
something blocked its event loop. The answer may have come in time: it is read before it is given up."""

_TURN = 0.001
"""How long the event loop gets for that, in seconds. Without any, uvloop would not look at its sockets."""


class ExchangeClock:
    """Enforces the deadline of an exchange, and detects read and write timeouts.

    Nearly every exchange ends long before its deadline, so setting and cancelling a timer for each
    is wasted work: 1 us of 12 on asyncio, and a cancel scope on trio takes 7 us. Here an exchange
    costs one comparison. One timer is shared by all exchanges of the connection. It is rescheduled
    only for an exchange that is due before it fires, which with equal limits is only the first one.
    When it fires, it checks the exchange then in progress and is rescheduled for its due time.
    """

    def __init__(self, timed: Timed) -> None:
        """Create the clock of a connection."""
        self._timed: Timed | None = timed
        self._call_off: Callable[[], None] | None = None
        self._rings = math.inf
        self._unsent: int | None = None

    def begin(self, progress: Progress, limits: Limits) -> None:
        """Start timing an exchange."""
        self._progress = progress
        self._limits = limits
        self._unsent = None
        if progress.phase is WRITTEN_IN_PART and self._timed is not None:
            self._unsent = self._timed.unsent()
        self._heard = now = time.monotonic()
        due = now + limits.soonest
        if progress.deadline < due:
            due = progress.deadline
        if due < self._rings:
            self._set(due)

    def heard(self) -> None:
        """Note that data was sent or received."""
        self._heard = time.monotonic()

    def stop(self) -> None:
        """Stop the timer for good, and drop the reference to the connection."""
        self._timed = None
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
        due, self._rings = self._rings, math.inf
        timed = self._timed
        if timed is None or not timed.is_under_way():
            return
        progress = self._progress
        now = time.monotonic()
        if now - due > _LATE:
            self._rings = now + _TURN
            self._call_off = timed.call_later(_TURN, self._ring)
            return
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
