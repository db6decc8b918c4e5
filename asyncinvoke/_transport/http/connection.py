"""What the pool requires of a connection on any event loop, and how far an exchange has come."""

import contextlib
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
