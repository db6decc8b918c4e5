"""An HTTP proxy that tunnels by CONNECT, requires credentials, or disconnects instead."""

import base64
import socket
from typing import Literal, TypeAlias

from .cutting_proxy import Flow, pump
from .loopback import LoopbackServer, finish, reset, stall
from .messages import HEAD_END, Received, read_head

Behaviour: TypeAlias = Literal["tunnel", "close", "reset", "stall", "refuse"]


class ConnectProxy(LoopbackServer):
    """A proxy that tunnels to loopback; a context manager.

    Args:
        manners: What it does with a CONNECT: tunnel, hang up in one of two ways, say nothing, or
            answer 502.
        credentials: The `user:password` that it asks for, by a 407.
    """

    def __init__(self, behaviour: Behaviour = "tunnel", *, credentials: str | None = None) -> None:
        super().__init__()
        self._manners = behaviour
        self._credentials = credentials
        self.asked: list[Received] = []
        """The CONNECT requests received."""
        self.tunnels = 0
        """The number of tunnels opened."""

    @property
    def url(self) -> str:
        """The proxy URL without credentials."""
        return f"http://127.0.0.1:{self.port}"

    def url_of(self, credentials: str) -> str:
        """Return the proxy URL with credentials."""
        return f"http://{credentials}@127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        """Serve one CONNECT request."""
        head = b""
        while not head.endswith(HEAD_END):
            piece = connection.recv(1)
            if not piece:
                return None
            head += piece
        request = read_head(head)
        self.asked.append(request)
        if self._manners == "close":
            return finish(connection)
        if self._manners == "reset":
            return reset(connection)
        if self._manners == "stall":
            return stall(connection)
        if self._manners == "refuse":
            return self._answer(connection, b"502 Bad Gateway")
        # Of two such headers, proxies read the first, the last, or both as one.
        if head.lower().count(b"\r\nproxy-authorization:") > 1 or not self._is_let_in(request):
            return self._answer(connection, b"407 Proxy Authentication Required")
        return self._tunnel(connection, request)

    def _is_let_in(self, request: Received) -> bool:
        if self._credentials is None:
            return True
        expected = base64.b64encode(self._credentials.encode()).decode()
        return request.headers.get("proxy-authorization") == f"Basic {expected}"

    def _answer(self, connection: socket.socket, status: bytes) -> None:
        connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)
        finish(connection)

    def _tunnel(self, connection: socket.socket, request: Received) -> None:
        host, _, port = request.target.rpartition(":")
        server = socket.create_connection((host.strip("[]"), int(port)))
        self.track(server)
        self.tunnels += 1
        try:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            pump(connection, server, {"request": Flow(), "answer": Flow()})
        finally:
            self.untrack(server)
