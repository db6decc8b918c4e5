"""Opens connections with anyio, where there is no asyncio for aiohttp to live in."""

import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream

from asyncinvoke._model.delivery import Progress
from asyncinvoke._transport.http.connection import Connection, Opener
from asyncinvoke._transport.http.errors import NotOursError

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
        from asyncinvoke._transport.http.trio_stream import TlsStream, TrioStream
    except ImportError as missing:
        raise NotOursError(str(missing)) from None
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    options = list(socket_options)
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context() if ssl_context is None else ssl_context

    async def open_one(_: Progress) -> Connection:
        with anyio.fail_after(connect_timeout):
            stream = await anyio.connect_tcp(host, port)
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
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
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
