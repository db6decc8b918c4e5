"""aiobotocore's two HTTP sessions: as an invoker configures them, and whether they are patched."""

import socket
from collections.abc import Iterable
from importlib import import_module
from types import FunctionType
from typing import Any

import anyio
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.httpxsession import HttpxSession
from aiohttp import ClientSession

from asyncinvoke._transport.aiohttp_client import SingleDeliveries
from asyncinvoke._transport.http.asyncio_opening import note_socket

# In seconds; AWS's NAT gateways and load balancers drop connections that are idle for 350 s.
_IDLE = 60
_INTERVAL = 30
_PROBES = 5

_UNACKNOWLEDGED = _IDLE + _PROBES * _INTERVAL
"""How long what was sent may remain unacknowledged, in seconds. Keep-alive probes are sent only when
nothing is outstanding, so without this a request into a network that has gone would be repeated by
the kernel for some 15 minutes. Probes find a peer gone after the same time."""


def keepalive_options() -> list[tuple[int, int, int]]:
    """Return the socket options that notice a dead peer, as arguments of `setsockopt`.

    They are those that this platform has.
    """
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (
        # macOS uses a different name.
        ("TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE", _IDLE),
        ("TCP_KEEPINTVL", _INTERVAL),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", _UNACKNOWLEDGED * 1000),
    ):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


def keepalive_socket(address: Any) -> socket.socket:
    """Create a socket with TCP keep-alive for an address of `getaddrinfo`; aiohttp's socket factory."""
    connection = plain_socket(address)
    for option in keepalive_options():
        connection.setsockopt(*option)
    return connection


def plain_socket(address: Any) -> socket.socket:
    """Create a socket without TCP keep-alive for such an address; likewise a socket factory."""
    family, kind, protocol = address[:3]
    connection = socket.socket(family, kind, protocol)
    note_socket(connection)
    return connection


def _wants_keepalive(socket_options: Iterable[tuple[int, int, int]] | None) -> bool:
    """Whether botocore's socket options, which the backends ignore, ask for TCP keep-alive."""
    return socket_options is None or any(
        option[:2] == (socket.SOL_SOCKET, socket.SO_KEEPALIVE) for option in socket_options
    )


class KeepaliveAiohttpSession(AIOHTTPSession):  # type: ignore[misc]
    """An `AIOHTTPSession` for an invoker's own client, with TCP keep-alive unless it is off."""

    def __init__(
        self, *args: Any, connector_args: Any = None, socket_options: Any = None, **kwargs: Any
    ) -> None:
        factory = keepalive_socket if _wants_keepalive(socket_options) else plain_socket
        super().__init__(
            *args,
            connector_args={"socket_factory": factory, **(connector_args or {})},
            socket_options=socket_options,
            **kwargs,
        )

    async def _get_session(self, proxy_url: str | None) -> SingleDeliveries:
        return SingleDeliveries(await super()._get_session(proxy_url))


# In seconds; the backend's default of 5 s is too short for 6 MB on a slow line.
_WRITE_TIMEOUT = 120.0


class KeepaliveHttpxSession(HttpxSession):  # type: ignore[misc]
    """An `HttpxSession` for an invoker's own client, with TCP keep-alive unless it is off."""

    def __init__(
        self, *args: Any, connector_args: Any = None, socket_options: Any = None, **kwargs: Any
    ) -> None:
        # The invoker's permits bound the number of requests, so waiting for the pool is harmless.
        defaults = {"write_timeout": _WRITE_TIMEOUT, "pool_timeout": None}
        super().__init__(
            *args,
            connector_args={**defaults, **(connector_args or {})},
            socket_options=socket_options,
            **kwargs,
        )
        self.keepalive = keepalive_options() if _wants_keepalive(socket_options) else []
        """The socket options of its connections."""

    def _make_async_client(self) -> Any:
        client = super()._make_async_client()
        for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
            pool: Any = getattr(transport, "_pool", None)
            if pool is not None and hasattr(pool, "_socket_options"):
                pool._socket_options = self.keepalive  # noqa: SLF001
            if pool is not None:
                close_unfinished_tunnels(pool)
            if hasattr(pool, "_proxy_headers"):
                # aiobotocore gives a proxy's credentials twice: in its URL and in a header.
                given = {name.lower(): (name, value) for name, value in pool._proxy_headers}  # noqa: SLF001
                pool._proxy_headers = list(given.values())  # noqa: SLF001
        return client


def close_unfinished_tunnels(pool: Any) -> None:
    """Make httpcore's proxy pool close tunnels whose request ends before they are established.

    By default httpcore leaks a tunnel whose TLS handshake was cancelled, timed out or failed: its
    socket and its slot in the pool stay in use. Once all slots have leaked, nothing is sent any
    more.
    """
    create = getattr(pool, "create_connection", None)
    if create is None:
        return

    def create_closing(origin: Any) -> Any:
        connection = create(origin)
        handle = connection.handle_async_request

        async def handle_or_close(request: Any) -> Any:
            del connection.handle_async_request  # the first request makes the tunnel
            try:
                return await handle(request)
            except BaseException:
                if not connection._connected:  # noqa: SLF001
                    with anyio.CancelScope(shield=True):
                        await connection.aclose()
                raise

        if getattr(connection, "_connected", None) is False:  # only a tunnel has that
            connection.handle_async_request = handle_or_close
        return connection

    pool.create_connection = create_closing


OF_AIOHTTP = (AIOHTTPSession, KeepaliveAiohttpSession)
"""The sessions of this kind that our own connections replace."""

OF_HTTPX = (HttpxSession, KeepaliveHttpxSession)
"""The sessions of this kind that our own connections replace."""


class LibraryCalls:
    """Checks the library functions that a request of aiobotocore's session would pass through.

    Tests patch them with mocks and recorders (aioresponses, vcrpy), and tracers wrap them. As our
    own connections bypass them, they are checked before each request; otherwise a test would send
    real requests. The check is where a function was defined, not what was there when this module
    was imported, which is when the first invoker is opened: a mock may be installed before that.

    Args:
        http_session: The session.
    """

    __slots__ = ("_plain_first", "_plain_second", "first", "second")

    def __init__(self, http_session: Any) -> None:
        self.first, self.second = _steps(http_session)
        """The two functions, each as the class that defines it and a name."""
        # The library's own functions as last seen; comparing identities is cheapest.
        self._plain_first: object = None
        self._plain_second: object = None

    def are_plain(self) -> bool:
        """Return whether both functions are the library's own."""
        # As they are in the class, which may lack them: a test may delete what sends requests.
        (first_kind, first_name), (second_kind, second_name) = self.first, self.second
        first, second = vars(first_kind).get(first_name), vars(second_kind).get(second_name)
        if first is None or second is None:
            return False
        if first is self._plain_first and second is self._plain_second:
            return True
        if not (_is_of(first, first_kind) and _is_of(second, second_kind)):
            return False
        self._plain_first, self._plain_second = first, second
        return True


def _steps(http_session: Any) -> tuple[tuple[type, str], tuple[type, str]]:
    if isinstance(http_session, HttpxSession):
        httpx = import_module("httpx2")  # an extra, installed if there is such a session
        return (httpx.AsyncClient, "send"), (httpx.AsyncHTTPTransport, "handle_async_request")
    if isinstance(http_session, AIOHTTPSession):
        return (ClientSession, "request"), (ClientSession, "_request")
    # An unknown session, for which our connections are not used.
    return (object, "__init__"), (object, "__init__")


def _is_of(function: object, kind: type) -> bool:
    """Return whether this is a plain function, defined in the same library as a class."""
    if kind is object:
        return True
    if type(function) is not FunctionType:
        return False
    # `functools.wraps` copies the names of a function, but not its globals.
    module = str(function.__globals__.get("__name__"))
    return module.partition(".")[0] == kind.__module__.partition(".")[0]
