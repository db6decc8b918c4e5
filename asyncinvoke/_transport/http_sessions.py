"""aiobotocore's two HTTP backends with TCP keep-alive, patient, and without redirects."""

import socket
from typing import Any

import anyio
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.httpxsession import HttpxSession

from asyncinvoke._transport.http.opening import note_socket


def on_asyncio() -> bool:
    """Whether the running event loop is one of asyncio's."""
    return anyio.get_cancelled_exc_class().__module__.startswith("asyncio")


# Below the 350 s after which AWS's NAT gateways and load balancers forget an idle connection.
_IDLE = 60
_INTERVAL = 30
_PROBES = 5


def keepalive_options() -> list[tuple[int, int, int]]:
    """Return the socket options, as arguments of `setsockopt`, that this platform knows."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (
        # macOS has another name for it.
        ("TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE", _IDLE),
        ("TCP_KEEPINTVL", _INTERVAL),
        ("TCP_KEEPCNT", _PROBES),
    ):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


def keepalive_socket(address: Any) -> socket.socket:
    """Make the socket for an address, as `getaddrinfo` gives it; aiohttp's socket factory."""
    family, kind, protocol = address[:3]
    connection = socket.socket(family, kind, protocol)
    for option in keepalive_options():
        connection.setsockopt(*option)
    note_socket(connection)
    return connection


class KeepaliveAiohttpSession(AIOHTTPSession):  # type: ignore[misc]
    """An `AIOHTTPSession` for an invoker's own client."""

    def __init__(self, *args: Any, connector_args: Any = None, **kwargs: Any) -> None:
        defaults = {"socket_factory": keepalive_socket}
        super().__init__(*args, connector_args={**defaults, **(connector_args or {})}, **kwargs)

    async def _get_session(self, proxy_url: str | None) -> "WithoutRedirects":
        return WithoutRedirects(await super()._get_session(proxy_url))


class WithoutRedirects:
    """An aiohttp session that takes a redirect for an answer.

    To follow it would deliver the payload twice, the second time to who knows whom.
    """

    def __init__(self, session: Any) -> None:
        self.unwrapped = session

    def request(self, method: str, url: Any, **options: Any) -> Any:
        """Make a request as the session would."""
        return self.unwrapped.request(method, url, **{**options, "allow_redirects": False})


# The backend's own 5 s are too few for 6 MB on a slow line.
_WRITE_TIMEOUT = 120.0


class KeepaliveHttpxSession(HttpxSession):  # type: ignore[misc]
    """An `HttpxSession` for an invoker's own client."""

    def __init__(self, *args: Any, connector_args: Any = None, **kwargs: Any) -> None:
        # The invoker's permits keep the pool from overflowing, so waiting for it is no fault.
        defaults = {"write_timeout": _WRITE_TIMEOUT, "pool_timeout": None}
        super().__init__(*args, connector_args={**defaults, **(connector_args or {})}, **kwargs)

    def _make_async_client(self) -> Any:
        client = super()._make_async_client()
        for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
            pool: Any = getattr(transport, "_pool", None)
            if pool is not None and hasattr(pool, "_socket_options"):
                pool._socket_options = keepalive_options()  # noqa: SLF001
        return client
