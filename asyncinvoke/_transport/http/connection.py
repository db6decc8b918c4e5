"""What the pool requires of a connection on any event loop, and the timer that ends an exchange."""

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

# Reading a member of an enumeration takes 0.2 us on Python 3.11, seven of which are in an exchange.
CONNECTED = Phase.CONNECTED
WRITTEN_IN_PART = Phase.WRITTEN_IN_PART
WRITTEN = Phase.WRITTEN
HEAD_READ = Phase.HEAD_READ
BODY_READ = Phase.BODY_READ

SLICE = 262_144
"""How many bytes of a large body are handed over at once.

A refusal of a request whose body is larger may have come before the peer had read it, and what it
has not read makes its end a reset, which may be on its way already. So the connection is not used
again.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an exchange may cost."""

    most_body: int
    """Longest body of an answer that is read whole, in bytes."""

    read_timeout: float
    """Longest silence after the request was written, in seconds."""

    write_timeout: float
    """Longest time without a byte of the request being taken, in seconds."""

    soonest: float = field(init=False)
    """The shorter of the two."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "soonest", min(self.read_timeout, self.write_timeout))


class Connection(Protocol):
    """An open connection, which carries one exchange at a time.

    Each exchange moves its `Progress` on as it goes, also when it fails or is cancelled, and ends
    with an answer, with a `WireError`, or with the cancellation of whoever waits for it.
    """

    born: float
    """When it was opened, on `time.monotonic()`."""

    reused: bool
    """Whether it has carried an exchange before; the pool's note."""

    on_end: "Callable[[Connection], object] | None"
    """Told when nothing is left of it, whoever has ended it."""

    @property
    def reusable(self) -> bool:
        """Whether the last exchange left it fit for another."""
        ...

    def tls(self) -> ssl.SSLObject | None:
        """Return what TLS has agreed upon, if it is under this connection."""
        ...

    def is_quiet(self) -> bool:
        """Look whether it is alive, and nothing has arrived that nobody asked for."""
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
        """Return the pieces of a streamed answer's body that have arrived, or none at its end."""
        ...

    def end(self, fault: TransportFault, message: str) -> None:
        """End what is under way with this fault, and the connection."""
        ...

    def abort(self) -> None:
        """Close at once, without a word to the peer; safe to call again."""
        ...

    async def wait_closed(self) -> None:
        """Wait, after `abort`, until nothing is left of it."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Have something called on this event loop; return what calls it off."""
        ...


Opener: TypeAlias = Callable[[Progress], Awaitable[Connection]]
"""Opens one connection, and raises what whoever opens it raises."""


def said_farewell(tls: ssl.SSLObject) -> bool:
    """Return whether a peer that sends no more has said so by TLS, once all it sent was read."""
    try:
        return tls.read(1) == b""
    except ssl.SSLError:
        return False


def look_at(descriptor: int) -> Callable[[], list[Any]]:
    """Return a function that tells, in half a microsecond, whether anything can be read there.

    An end, a reset, TLS's farewell and bytes that nobody asked for all show so.
    """
    if not hasattr(select, "poll"):
        return lambda: select.select([descriptor], (), (), 0)[0]
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return partial(poll.poll, 0)


class Timed(Protocol):
    """As much of a connection as its clock needs."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Have something called on this event loop; return what calls it off."""
        ...

    def unsent(self) -> int | None:
        """Return something that changes as bytes of a request go out; `None` if all are out."""
        ...

    def is_under_way(self) -> bool:
        """Whether an exchange has begun and not ended."""
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

    def begin(self, progress: Progress, limits: Limits) -> None:
        """Begin with an exchange."""
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
        """Note that something has moved."""
        self._heard = time.monotonic()

    def stop(self) -> None:
        """Never ring again, and let go of the connection."""
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
        self._rings = math.inf
        timed = self._timed
        if timed is None or not timed.is_under_way():
            return
        progress = self._progress
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
