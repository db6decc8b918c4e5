"""Opens connections as aiobotocore's HTTP session would: by aiohttp's connector, or by anyio on trio."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import anyio
from aiohttp import ClientRequest, ClientTimeout, TCPConnector
from anyio.abc import SocketAttribute, SocketStream
from yarl import URL

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.asyncio_driver import AsyncioConnection
from asyncinvoke._transport.http.connection import Connection, Opener
from asyncinvoke._transport.http.errors import NotOursError, WireError


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
        if transport is not None:
            transport.abort()  # TLS's farewell would outlive the socket, which is closed next
        connection.close()
        raise WireError(
            TransportFault.CONNECT, Phase.CONNECTING, "the peer was gone, or spoke, too early"
        )
    taken = AsyncioConnection(transport)
    handler.connection_lost(None)
    connection.close()
    return taken


_sockets: ContextVar[list[socket.socket] | None] = ContextVar("_sockets", default=None)


def note_socket(made: socket.socket) -> None:
    """Note a socket that was made for a connection under way."""
    sockets = _sockets.get()
    if sockets is not None:
        sockets.append(made)


@contextmanager
def sockets_let_go() -> Iterator[None]:
    """Let the sockets of an opening that fails go, where the event loop has closed their files.

    uvloop closes the file of a connection that ends before TLS is there, but leaves it to the socket
    that it was given. Once that is freed it would close its number again, which by then may be
    another connection's. asyncio has forgotten a socket whose peer was gone before TLS began.
    """
    sockets: list[socket.socket] = []
    token = _sockets.set(sockets)
    try:
        yield
    except BaseException:
        is_closed = "uvloop" in type(asyncio.get_running_loop()).__module__
        for each in sockets:
            if is_closed:
                each.detach()
            else:
                each.close()
        raise
    finally:
        _sockets.reset(token)


def open_httpx(
    http_session: Any, url: str, *, socket_options: Iterable[tuple[int, int, int]] = ()
) -> Opener:
    """Return what opens connections to the origin of `url`, on trio, with this session's settings.

    Args:
        http_session: An entered `HttpxSession`.
        url: An URL of the origin.
        socket_options: For `setsockopt`, such as those of TCP's keep-alive.

    Raises:
        NotOursError: The way there is through a proxy, trio is missing, or a private name of
            aiobotocore's is.
    """
    try:
        proxy = http_session._proxy_config.proxy_url_for(url)  # noqa: SLF001  # see `Raises`
        context = http_session._verify  # noqa: SLF001
        connect_timeout = http_session._timeout.connect  # noqa: SLF001
    except AttributeError as missing:
        raise NotOursError(str(missing)) from None
    if not isinstance(context, ssl.SSLContext):
        raise NotOursError("the session has no TLS context yet")
    return open_anyio(
        url,
        ssl_context=context,
        connect_timeout=connect_timeout,
        socket_options=socket_options,
        proxy=proxy,
    )


_PORTS = {"http": 80, "https": 443}


def open_anyio(
    url: str,
    *,
    ssl_context: ssl.SSLContext | None = None,
    connect_timeout: float | None = None,
    socket_options: Iterable[tuple[int, int, int]] = (),
    proxy: str | None = None,
) -> Opener:
    """Return what opens connections to the origin of `url`, on trio.

    Args:
        url: An URL of the origin. Its name is resolved anew for each connection, and its addresses
            are tried together as Happy Eyeballs does.
        ssl_context: For TLS, if the URL asks for it; `None` for Python's default.
        connect_timeout: How long it may take altogether, in seconds; `None` for any time.
        socket_options: For `setsockopt`, such as those of TCP's keep-alive.
        proxy: The proxy that is configured, if there is one.

    Raises:
        NotOursError: The way there is through a proxy, or trio is missing.
    """
    if proxy is not None:
        raise NotOursError("through a proxy")
    try:
        from asyncinvoke._transport.http.trio_driver import TrioConnection
        from asyncinvoke._transport.http.trio_names import Name
        from asyncinvoke._transport.http.trio_stream import TlsStream, TrioStream
    except ImportError as missing:
        raise NotOursError(str(missing)) from None
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    name = Name(host, port)
    options = list(socket_options)
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context() if ssl_context is None else ssl_context

    async def open_one(_: Progress) -> Connection:
        with anyio.fail_after(connect_timeout):
            stream = await name.connect()
            connected = stream.extra(SocketAttribute.raw_socket)
            try:
                for option in options:
                    connected.setsockopt(*option)
                if context is None:
                    return TrioConnection(TrioStream(connected))
                return TrioConnection(
                    TlsStream(connected, *await _shake_hands(stream, context, host))
                )
            except BaseException:
                await anyio.aclose_forcefully(stream)
                raise

    return open_one


async def _shake_hands(
    stream: SocketStream, context: ssl.SSLContext, host: str
) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    # The dot that makes a name absolute is for the resolver; certificates are without it.
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host.rstrip("."))
    is_done = False
    while not is_done:
        try:
            tls.do_handshake()
            is_done = True
        except ssl.SSLWantReadError:
            pass
        finally:
            if outgoing.pending:  # also what is wrong with the peer's certificate
                await stream.send(outgoing.read())
        if not is_done:
            incoming.write(await stream.receive())
    return tls, incoming, outgoing
