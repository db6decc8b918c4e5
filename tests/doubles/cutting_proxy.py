"""A TCP proxy that cuts an exchange after a number of bytes, or TLS records, in one direction."""

import contextlib
import select
import socket
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .loopback import LoopbackServer, finish, reset

Direction: TypeAlias = Literal["request", "answer"]
_RECORD_HEAD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where a connection is cut: after `records` whole TLS records and then `bytes` bytes."""

    direction: Direction
    """`request` is the data from the client, `answer` the data to it."""
    bytes: int
    """The number of bytes to forward; the cut follows the last one, or with 0 the first data."""
    records: int = 0
    """The number of TLS records that are forwarded before these bytes; 0 on a plain connection."""
    with_reset: bool = False
    """Whether the client receives an RST instead of a FIN."""

    def __str__(self) -> str:
        where = f"{self.records} records and {self.bytes}" if self.records else f"{self.bytes}"
        return f"{self.direction} cut after {where} bytes by {'RST' if self.with_reset else 'FIN'}"


class Flow:
    """What has passed in one direction, and how much more may pass."""

    def __init__(self, cut: Cut | None = None) -> None:
        self._cut = cut
        self.passed = bytearray()

    @property
    def is_spent(self) -> bool:
        """Whether the cut is due."""
        limit = self._limit()
        return limit is not None and len(self.passed) >= limit

    def take(self, data: bytes) -> bytes:
        """Return the part of the received data that is forwarded."""
        self.passed += data
        limit = self._limit()
        beyond = 0 if limit is None else max(len(self.passed) - limit, 0)
        del self.passed[len(self.passed) - beyond :]
        return data[: len(data) - beyond]

    def record_ends(self) -> list[int]:
        """Return the ends of the TLS records whose headers have passed."""
        ends: list[int] = []
        start = 0
        while len(self.passed) >= start + _RECORD_HEAD:
            start += _RECORD_HEAD + int.from_bytes(self.passed[start + 3 : start + 5], "big")
            ends.append(start)
        return ends

    def whole_records(self) -> int:
        """Return the number of TLS records that have passed completely."""
        return sum(end <= len(self.passed) for end in self.record_ends())

    def _limit(self) -> int | None:
        if self._cut is None:
            return None
        if self._cut.records == 0:
            return self._cut.bytes
        ends = self.record_ends()
        known = len(ends) >= self._cut.records
        return ends[self._cut.records - 1] + self._cut.bytes if known else None


class CuttingProxy(LoopbackServer):
    """A proxy in front of a server on loopback that cuts its connections; a context manager.

    Args:
        port: The server's port.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self._target = port
        self.cut: Cut | None = None
        """The cut of later connections; `None` for none."""
        self.flows: list[dict[Direction, Flow]] = []
        """The data that has passed, for each connection."""
        self.connected = 0
        """The number of connections made to the server."""

    def serve(self, connection: socket.socket) -> None:
        """Forward data both ways until one end closes or the cut is due."""
        cut = self.cut
        flows: dict[Direction, Flow] = {
            direction: Flow(cut if cut is not None and cut.direction == direction else None)
            for direction in ("request", "answer")
        }
        self.flows.append(flows)
        server = socket.create_connection(("127.0.0.1", self._target))
        self.connected += 1
        self.track(server)
        try:
            is_cut = pump(connection, server, flows)
        finally:
            # Before the client notices, so that the server's counts are final by then.
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            self.untrack(server)
        if is_cut and cut is not None and cut.with_reset:
            reset(connection)
        else:
            finish(connection)


def pump(client: socket.socket, server: socket.socket, flows: dict[Direction, Flow]) -> bool:
    """Forward bytes until one end closes; return true if a flow has reached its cut."""
    ends: list[tuple[Direction, socket.socket, socket.socket]] = [
        ("request", client, server),
        ("answer", server, client),
    ]
    while True:
        if any(flow.is_spent for flow in flows.values()):
            return True
        readable, _, _ = select.select([client, server], [], [])
        for direction, source, sink in ends:
            if source not in readable:
                continue
            data = source.recv(65_536)
            if not data:
                return False
            sink.sendall(flows[direction].take(data))
            if flows[direction].is_spent:
                return True
