"""Opens connections on asyncio, as aiobotocore's HTTP session would: by aiohttp's connector."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import anyio
from aiohttp import ClientRequest, ClientTimeout, TCPConnector
from yarl import URL

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.asyncio_driver import AsyncioConnection
from asyncinvoke._transport.http.connection import Connection, Opener, has_hung_up
from asyncinvoke._transport.http.errors import TOO_EARLY, NotOursError, ended, system_errors


def open_aiohttp(http_session: Any, url: str) -> Opener:
    """Return an opener of connections to the origin of `url`, using a session's settings.

    aiohttp's connector opens the connections, so proxies, TLS settings, DNS, address families and
    socket options are as configured.

    Args:
        http_session: An entered `AIOHTTPSession`.
        url: A URL of the origin.

    Raises:
        NotOursError: The route cannot be served: it is plain HTTP through a proxy, which is not a
            tunnel, or a private attribute of aiobotocore or aiohttp is missing. While opening: the
            session cannot be set up, or its connector is not aiohttp's own, or has changed.
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
            # An unreadable CA bundle or certificate: aiobotocore itself will report it.
            raise NotOursError(f"the session cannot be set up: {type(error).__name__}") from None
        # Our session that does not follow redirects wraps aiohttp's.
        connector = getattr(getattr(session, "unwrapped", session), "connector", None)
        if not isinstance(connector, TCPConnector):
            raise NotOursError(f"the connector is a {type(connector).__name__}")
        # aiohttp applies its timeout to connecting and TLS, but not to DNS or the proxy's answer.
        # Everything together gets twice that time.
        most = timeout.sock_connect
        try:
            with anyio.fail_after(None if most is None else 2 * most), sockets_let_go():
                return await _connect(connector, request, timeout)
        except OSError:
            connector.clear_dns_cache()  # the name may lead elsewhere now
            raise
        except _CHANGED as error:
            raise NotOursError(f"{type(error).__name__}: {error}") from None

    return open_one


_CHANGED = (AttributeError, TypeError, AssertionError)
"""What is raised if a name of aiohttp's is missing or means something else. Nothing was sent then."""

_PATIENCE = 1.0
"""How long to wait for the event loop to read what a peer said before it hung up, in seconds."""


async def _connect(
    connector: TCPConnector, request: ClientRequest, timeout: ClientTimeout
) -> AsyncioConnection:
    """Open a connection through aiohttp, take over its transport, and free the connector's slot.

    Nothing else runs between `connect` and `set_protocol`, so no event is lost; data or an EOF that
    arrived earlier shows in aiohttp's handler. The handler is then told that its connection is lost
    and drops the transport, so closing aiohttp's connection object only releases the slot. From
    there on, our connection is the only owner of the transport.
    """
    connection = await connector.connect(request, [], timeout)
    try:
        return await _take_over(connection)
    except _CHANGED:
        connection.close()
        raise


async def _take_over(connection: Any) -> AsyncioConnection:
    handler = connection.protocol
    transport = None if handler is None else handler.transport
    if (
        handler is None
        or transport is None
        or transport.is_closing()
        or handler.should_close
        or has_hung_up(transport.get_extra_info("socket").fileno())
    ):
        cause: OSError | None = None
        try:
            if handler is not None and transport is not None and not transport.is_closing():
                cause = await _reason_of_end(handler)
        finally:
            if transport is not None:
                transport.abort()  # a graceful TLS shutdown would outlive the socket, which is closed next
            connection.close()
        raise ended(TransportFault.CONNECT, Phase.CONNECTING, TOO_EARLY, cause)
    taken = AsyncioConnection(transport)
    handler.connection_lost(None)
    connection.close()
    return taken


async def _reason_of_end(handler: Any) -> OSError | None:
    """Return why a peer has hung up, if it has said so: the event loop has not read it yet."""
    closed: asyncio.Future[None] | None = getattr(handler, "closed", None)
    if closed is None or handler.should_close:  # an older aiohttp, or the peer has spoken
        return None
    closed.add_done_callback(lambda each: each.cancelled() or each.exception())
    await asyncio.wait([closed], timeout=_PATIENCE)
    error = closed.exception() if closed.done() and not closed.cancelled() else None
    return None if error is None else next(system_errors(error), None)


_sockets: ContextVar[list[socket.socket] | None] = ContextVar("_sockets", default=None)


def note_socket(made: socket.socket) -> None:
    """Note a socket that was created for a connection being opened."""
    sockets = _sockets.get()
    if sockets is not None:
        sockets.append(made)


@contextmanager
def sockets_let_go() -> Iterator[None]:
    """Release the sockets of a connection that could not be opened.

    If a connection ends before TLS is established, uvloop closes the descriptor but leaves it in
    the socket object that it was given. When that object is freed it would close the same descriptor
    again, which may belong to another connection by then, so it is detached. asyncio leaks a socket
    whose peer closed before TLS began, so it is closed.
    """
    sockets: list[socket.socket] = []
    token = _sockets.set(sockets)
    try:
        yield
    except BaseException:
        loop = asyncio.get_running_loop()
        is_closed = "uvloop" in type(loop).__module__
        for each in sockets:
            if is_closed:
                each.detach()
            elif each.fileno() >= 0:
                _end(each, loop)
        raise
    finally:
        _sockets.reset(token)


def _end(opened: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
    """Close a socket, or have the transport close it that uses it.

    A call cancelled in the instant in which TLS is established leaves a transport that still waits
    for the peer's farewell. If its socket were closed, asyncio would take the next socket with the
    same descriptor for that of the transport, and refuse to connect it.
    """
    try:
        loop.remove_reader(opened)  # the only public way to ask
    except NotImplementedError:  # Windows' default loop does not know transports by descriptor
        opened.close()
    except RuntimeError:
        with suppress(OSError):
            opened.shutdown(socket.SHUT_RDWR)
    else:
        opened.close()
