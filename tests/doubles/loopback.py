"""A server of raw sockets on loopback, with a thread for each connection, for every event loop."""

import contextlib
import select
import socket
import struct
import threading
from typing import Self

JOIN = 10.0
"""Timeout in seconds for a thread to end; exceeding it is a bug of the double."""


class LoopbackServer:
    """Accepts connections on a free port and passes each to `serve`; a context manager.

    Threads, so that a blocked event loop does not stop the other end, and one double works with
    asyncio, uvloop and trio.

    Args:
        receive_buffer: The size of the kernel's buffer for what was not read yet, in bytes; with a
            small one, a writer soon notices a reader that has stopped.
    """

    def __init__(self, *, receive_buffer: int | None = None) -> None:
        self.accepted = 0
        self.changed = threading.Condition()
        self.is_closing = False
        self._listener = socket.socket()
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: set[threading.Thread] = set()
        self._sockets: set[socket.socket] = set()

    def serve(self, connection: socket.socket) -> None:
        """Serve one client; the connection is closed afterwards. May raise OSError."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._listener.listen(4096)
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop accepting, disconnect all clients and wait for all threads."""
        with self.changed:
            self.is_closing = True
            open_sockets = list(self._sockets)
            self.changed.notify_all()
        for each in (self._listener, *open_sockets):
            # Closing it would not wake a thread that waits in `accept`.
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        while self._threads:
            thread = next(iter(self._threads))
            thread.join(JOIN)
            if thread.is_alive():
                raise RuntimeError(f"{thread.name} does not end")
            self._threads.discard(thread)
        self._listener.close()

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._sockets)

    def track(self, connection: socket.socket) -> None:
        """Have a socket shut down when the server is closed."""
        with self.changed:
            self._sockets.add(connection)
        if self.is_closing:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def untrack(self, connection: socket.socket) -> None:
        """Close a socket."""
        connection.close()
        with self.changed:
            self._sockets.discard(connection)
            self.changed.notify_all()

    def settle(self, accepted: int = 0) -> None:
        """Wait until no connection is open, so that all counts are final.

        Args:
            accepted: The total number of connections to wait for, if one may not be accepted yet.
        """
        with self.changed:
            if not self.changed.wait_for(
                lambda: self.accepted >= accepted and not self._sockets, JOIN
            ):
                raise RuntimeError(f"{len(self._sockets)} connections are still open")

    def _accept(self) -> None:
        while not self.is_closing:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.track(connection)
            with self.changed:
                self.accepted += 1
                self.changed.notify_all()
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.serve(connection)
        finally:
            self.untrack(connection)
            self._threads.discard(threading.current_thread())

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(
            target=target,  # type: ignore[arg-type]  # Thread's own type is no wider than Callable
            args=arguments,
            name=f"{type(self).__name__}:{self.port}",
            daemon=True,
        )
        # In this order, since `close` joins the threads that it finds; one that has ended does no
        # harm.
        thread.start()
        self._threads.add(thread)


def reset(connection: socket.socket) -> None:
    """Close a connection with an RST."""
    # Lingering for no time turns the close into a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def finish(connection: socket.socket) -> None:
    """Send a FIN, and wait for the other end to close.

    Closing with unread bytes in the buffer would send an RST instead.
    """
    connection.shutdown(socket.SHUT_WR)
    discard(connection)


def discard(connection: socket.socket) -> None:
    """Read until the other end closes or resets."""
    with contextlib.suppress(OSError):
        while connection.recv(65_536):
            pass


def stall(connection: socket.socket) -> None:
    """Neither read nor write until the other end, or this one, ends the connection.

    Nothing is received, so the window stays closed; only the end of the connection is noticed.
    """
    ends = select.poll()
    ends.register(
        connection, getattr(select, "POLLRDHUP", 0)
    )  # POLLHUP and POLLERR are always reported
    ends.poll()
