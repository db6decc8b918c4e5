"""A raw HTTP/1.1 server that counts the requests it has read, and misbehaves by a script."""

import contextlib
import socket
import ssl
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from .loopback import LoopbackServer, finish, reset, stall
from .messages import HEAD_END, Received, echo_answer, read_head

Ending: TypeAlias = Literal["keep", "close", "reset", "stall"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What the server does with a request."""

    sent: bytes | Callable[[Received], bytes] = field(default=echo_answer, repr=False)
    """What it sends; by default Lambda's answer for a function that returns its event."""

    then: Ending = "keep"
    """Keep the connection, close it (the FIN is in the packet of the answer, so that a client that
    has read the answer can see it), reset it, or send nothing more."""

    body_read: int | None = None
    """The number of bytes of the body that it reads before it sends; `None` for all. Later bytes
    are read, discarded and not counted."""

    gate: threading.Event | None = field(default=None, repr=False)
    """It sends nothing before this is set."""

    name: str = ""
    """The name in messages of failing tests."""

    def __repr__(self) -> str:
        return f"<{self.name or 'Act'}>"


ANSWER = Act(name="answer")
HANG_UP = Act(sent=b"", then="close", name="hang up")
RESET = Act(sent=b"", then="reset", name="reset")
STALL = Act(sent=b"", then="stall", name="stall")
CLOSE_AFTER = Act(then="close", name="answer, close without saying so")
JUNK = Act(sent=b"\x16\x03\x01 what is this\r\n\r\n", then="close", name="junk")


class CountingServer(LoopbackServer):
    """A server that reads requests and plays a script; a context manager.

    Args:
        acts: What it does with the requests that come first, in their order.
        default: What it does with all others; one that is called for it sees the whole request.
        tls: What it presents to its clients, if they are to speak TLS.
        arrivals: What it does with the connections that come first: serve them, or end them before
            a byte is read.
        receive_buffer: As for `LoopbackServer`.
    """

    def __init__(
        self,
        *acts: Act,
        default: Act | Callable[[Received], Act] = ANSWER,
        tls: ssl.SSLContext | None = None,
        arrivals: tuple[Literal["serve", "close", "reset", "stall"], ...] = (),
        receive_buffer: int | None = None,
    ) -> None:
        super().__init__(receive_buffer=receive_buffer)
        self._acts = deque(acts)
        self._default = default
        self._tls = tls
        self._arrivals = deque(arrivals)
        self._idle: set[socket.socket] = set()
        self.begun = 0
        """The number of requests of which at least one byte was received."""
        self.requests: list[Received] = []
        """The requests that were read completely."""
        self.on_request: Callable[[Received], None] | None = None
        """Called with each completely read request, before it is answered."""

    @property
    def url(self) -> str:
        """The `endpoint_url` for an invoker."""
        return f"http{'' if self._tls is None else 's'}://127.0.0.1:{self.port}"

    @property
    def whole(self) -> int:
        """The number of requests that were read completely."""
        return len(self.requests)

    def script(self, *acts: Act) -> None:
        """Set what happens to the next requests; the rest of an older script is discarded."""
        with self.changed:
            self._acts = deque(acts)

    def bodies(self) -> Counter[bytes]:
        """Return the number of completely read requests by body."""
        with self.changed:
            return Counter(request.body for request in self.requests)

    def close_idle(self) -> int:
        """Close all idle connections; return their number.

        They are closed when this returns, even if the caller's event loop is blocked.
        """
        with self.changed:
            idle = list(self._idle)
        for connection in idle:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        with self.changed:
            self.changed.wait_for(lambda: self._idle.isdisjoint(idle), 10)
        return len(idle)

    def send_on_idle(self, data: bytes) -> int:
        """Send unsolicited bytes on all idle connections."""
        with self.changed:
            idle = list(self._idle)
        said = 0
        for connection in idle:
            # A connection that its client has closed is idle until this side has noticed.
            with contextlib.suppress(OSError):
                connection.sendall(data)
                said += 1
        return said

    def serve(self, connection: socket.socket) -> None:
        """Serve one client."""
        with self.changed:
            arrival = self._arrivals.popleft() if self._arrivals else "serve"
        if arrival == "reset":
            return reset(connection)
        if arrival == "close":
            return finish(connection)
        if arrival == "stall":
            return stall(connection)
        if self._tls is None:
            return self._talk(connection)
        # Any error ends the handshake, and so the connection.
        secured = self._tls.wrap_socket(connection, server_side=True)
        self.track(secured)
        try:
            return self._talk(secured)
        finally:
            self.untrack(secured)

    def _talk(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while self._exchange(connection, stream.read, stream.readline):
                pass

    def _exchange(
        self,
        connection: socket.socket,
        read: Callable[[int], bytes],
        read_line: Callable[[], bytes],
    ) -> bool:
        """Read one request and perform its act; return whether the connection stays open."""
        head = self._wait_for_first_byte(connection, read)
        while not head.endswith(HEAD_END):
            line = read_line()
            if not line:
                return False
            head += line
        request = read_head(head)
        with self.changed:
            decided = self._acts.popleft() if self._acts else self._default
        wanted = request.content_length
        if isinstance(decided, Act) and decided.body_read is not None:
            wanted = min(wanted, decided.body_read)
        request = replace(request, body=read(wanted))
        if len(request.body) < wanted:
            return False
        act = decided if isinstance(decided, Act) else decided(request)
        if wanted == request.content_length:
            self._count(request)
        return self._play(act, request, connection)

    def _wait_for_first_byte(
        self, connection: socket.socket, read: Callable[[int], bytes]
    ) -> bytes:
        first = b""
        with self.changed:
            self._idle.add(connection)
            self.changed.notify_all()
        try:
            first = read(1)
        finally:
            with self.changed:
                self._idle.discard(connection)
                self.begun += len(first)
                self.changed.notify_all()
        return first

    def _count(self, request: Received) -> None:
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
        if self.on_request is not None:
            self.on_request(request)

    def _play(self, act: Act, request: Received, connection: socket.socket) -> bool:
        if act.gate is not None:
            while not (act.gate.wait(0.02) or self.is_closing):
                pass
        sent = act.sent if isinstance(act.sent, bytes) else act.sent(request)
        if act.then == "close" and not isinstance(connection, ssl.SSLSocket):
            # Held back until the FIN, which is then in the same packet.
            connection.sendall(sent, getattr(socket, "MSG_MORE", 0))
        else:
            connection.sendall(sent)
        if act.then == "keep" and len(request.body) == request.content_length:
            return True
        if act.then == "reset":
            reset(connection)
        elif act.then == "stall":
            stall(connection)
        else:
            finish(connection)
        return False
