"""Opens connections through the aiohttp connector inside aiobotocore's HTTP session."""

import asyncio
import errno
from typing import Any

import anyio
from aiohttp import ClientRequest, ClientTimeout, TCPConnector
from yarl import URL

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.asyncio_driver import AsyncioConnection
from asyncinvoke._transport.http.connection import Connection, Opener
from asyncinvoke._transport.http.errors import NotOursError, WireError
from asyncinvoke._transport.http.opening import sockets_let_go


def open_aiohttp(http_session: Any, url: str) -> Opener:
    """Return what opens connections to the origin of `url`, the way this session would.

    Proxies, TLS in all its settings, names, both families of addresses and the socket's options are
    as configured, because aiohttp's connector does the opening.

    Args:
        http_session: An entered `AIOHTTPSession`.
        url: An URL of the origin.

    Raises:
        NotOursError: The way there is not for us: plain HTTP through a proxy, which is no tunnel,
            or a private name of aiobotocore's or aiohttp's is missing. While opening: the session
            cannot be set up, or its connector is none of aiohttp's own.
    """
    try:
        proxies = http_session._proxy_config  # noqa: SLF001  # here and below: see `Raises`
        proxy = proxies.proxy_url_for(url)
        if proxy is not None and not url.startswith("https:"):
            raise NotOursError("plain HTTP through a proxy")
        proxy_headers = None if proxy is None else proxies.proxy_headers_for(url)
        timeout: ClientTimeout = http_session._timeout  # noqa: SLF001
        get_session = http_session._get_session  # noqa: SLF001
        request = ClientRequest(
            "GET",
            URL(url, encoded=True),
            loop=asyncio.get_running_loop(),
            proxy=None if proxy is None else URL(proxy),
            proxy_headers=proxy_headers,
        )
    except (AttributeError, TypeError) as error:
        raise NotOursError(f"{type(error).__name__}: {error}") from None

    async def open_one(_: Progress) -> Connection:
        try:
            session = await get_session(proxy)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
            # A bundle or certificate that cannot be read: whoever says so today still does.
            raise NotOursError(f"the session cannot be set up: {type(error).__name__}") from None
        # The session of ours that follows no redirects wraps aiohttp's.
        connector = getattr(session, "unwrapped", session).connector
        if not isinstance(connector, TCPConnector):
            raise NotOursError(f"the connector is a {type(connector).__name__}")
        # aiohttp bounds the connection to an address and TLS, but not the name, nor the proxy's
        # answer; all of it together gets twice that time.
        most = timeout.sock_connect
        with anyio.fail_after(None if most is None else 2 * most), sockets_let_go():
            return await _connect(connector, request, timeout)

    return open_one


async def _connect(
    connector: TCPConnector, request: ClientRequest, timeout: ClientTimeout
) -> AsyncioConnection:
    """Have a connection made, take its transport over, and free the connector's slot.

    Between `connect` and `set_protocol` nothing else runs, so no event is lost; what had arrived
    before, and its end, show in aiohttp's handler. The handler is then told that its connection is
    lost, after which it knows of no transport, and closing the connector's part of it closes
    nothing but gives the slot back. From there on the transport has one owner, which is ours.
    """
    connection = await connector.connect(request, [], timeout)
    handler = connection.protocol
    transport = None if handler is None else handler.transport
    if handler is None or transport is None or transport.is_closing() or handler.should_close:
        connection.close()
        raise WireError(
            TransportFault.CONNECT, Phase.CONNECTING, "the peer was gone, or spoke, too early"
        )
    taken = AsyncioConnection(transport)
    handler.connection_lost(None)
    connection.close()
    return taken
