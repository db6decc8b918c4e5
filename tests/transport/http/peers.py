"""Servers of raw sockets that run a script in a thread for each connection."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class EndError(Exception):
    """The other side has ended the connection."""


class Wire:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket, number: int, peer: "Peer") -> None:
        self.socket = connection
        self.peer = peer
        self.number = number
        """The number of this connection at its peer, from 1."""
        self.received = bytearray()
        """Data that was received and not read yet."""

    def request(self) -> tuple[bytes, bytes]:
        """Read one request: head and body."""
        while b"\r\n\r\n" not in self.received:
            self._receive()
        head = self.receive(self.received.index(b"\r\n\r\n") + 4)
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return head, self.receive(length)

    def receive(self, count: int) -> bytes:
        """Read a number of bytes."""
        while len(self.received) < count:
            self._receive()
        data = bytes(self.received[:count])
        del self.received[:count]
        return data

    def wait_end(self) -> int:
        """Read until the other side ends the connection; return the number of bytes received."""
        count = len(self.received)
        with contextlib.suppress(EndError):
            while True:
                self.received.clear()
                self._receive()
                count += len(self.received)
        return count

    def send(self, data: bytes) -> None:
        """Write all data."""
        self.socket.sendall(data)

    def reset(self) -> None:
        """End the connection with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # A TLS socket would send close_notify.
        socket.socket(fileno=self.socket.detach()).close()

    def send_close_notify(self) -> None:
        """Send a TLS close_notify; has no effect without TLS."""
        if isinstance(self.socket, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):  # the client may have left
                self.socket.unwrap()

    def close(self) -> None:
        """End the connection by FIN, without close_notify."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)
        self.socket.close()

    def _receive(self) -> None:
        try:
            data = self.socket.recv(1 << 20)
        except (OSError, ValueError):
            raise EndError from None
        if not data:
            raise EndError
        self.received += data


Script: TypeAlias = Callable[[Wire], None]


def answering(*answers: bytes) -> Script:
    """Answer the requests of a connection with these in turn, and then always with the last."""

    def script(wire: Wire) -> None:
        number = 0
        while True:
            wire.request()
            wire.send(answers[min(number, len(answers) - 1)])
            number += 1

    return script


class Peer:
    """A server that runs a script for each connection, and then closes it.

    Args:
        script: What to do with a connection; it ends on socket errors.
        tls: The TLS context, or None.
        receive_buffer: So small that a large request does not fit, in bytes.
        family: IPv4 or IPv6.
    """

    def __init__(
        self,
        script: Script,
        *,
        tls: ssl.SSLContext | None = None,
        receive_buffer: int | None = None,
        family: socket.AddressFamily = socket.AF_INET,
    ) -> None:
        self._script = script
        self._tls = tls
        self._listener = socket.socket(family)
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self._listener.listen(64)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.ended = threading.Event()
        """Set by a script that has ended a connection."""
        self.answered = threading.Event()
        """Set by a test that has received an answer."""
        self.released = threading.Event()
        """Set by a test to let a script continue, and at the end."""

    def __enter__(self) -> Self:
        self.start(self._accept)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.released.set()
        self.answered.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def wait_closed(self) -> None:
        """Block until the newest connection is closed on this side.

        That is when its thread has ended: a socket releases its descriptor before the kernel closes
        it.
        """
        self._threads[-1].join(60)
        assert not self._threads[-1].is_alive()

    def start(self, run: Callable[[], None]) -> None:
        """Run a function in a thread that is joined at the end of the block."""
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            # Sent data must have left before a reset discards it.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            number = self.connections
            self._sockets.append(connection)
            self.start(partial(self._run, connection, number))

    def _run(self, connection: socket.socket, number: int) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._sockets.append(connection)
            self._script(Wire(connection, number, self))
        except (OSError, EndError):
            pass
        finally:
            connection.close()
