"""Opens connections on trio, as aiobotocore's HTTP session would: by anyio."""

import ssl
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream

from asyncinvoke._model.delivery import Progress
from asyncinvoke._transport.http.connection import Connection, Opener
from asyncinvoke._transport.http.errors import NotOursError


def open_httpx(
    http_session: Any, url: str, *, socket_options: Iterable[tuple[int, int, int]] = ()
) -> Opener:
    """Return an opener of connections to the origin of `url` on trio, using a session's settings.

    Args:
        http_session: An entered `HttpxSession`.
        url: A URL of the origin.
        socket_options: Arguments of `setsockopt`, such as those for TCP keep-alive.

    Raises:
        NotOursError: The route goes through a proxy, trio is not installed, or a private attribute
            of aiobotocore is missing.
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
    """Return an opener of connections to the origin of `url` on trio.

    Args:
        url: A URL of the origin. Its host is resolved for each connection, and its addresses are
            tried as in Happy Eyeballs.
        ssl_context: The TLS context for an `https` URL; `None` for Python's default.
        connect_timeout: The total timeout for opening a connection, in seconds; `None` for none.
        socket_options: Arguments of `setsockopt`, such as those for TCP keep-alive.
        proxy: The configured proxy, if any.

    Raises:
        NotOursError: The route goes through a proxy, or trio is not installed.
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
                secured = TlsStream(connected, *await _shake_hands(stream, context, host))
                secured.check_new()
                return TrioConnection(secured)
            except BaseException:
                await anyio.aclose_forcefully(stream)
                raise

    return open_one


async def _shake_hands(
    stream: SocketStream, context: ssl.SSLContext, host: str
) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    # The trailing dot of an absolute name is for the resolver only; certificates do not have it.
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host.rstrip("."))
    is_done = False
    while not is_done:
        try:
            tls.do_handshake()
            is_done = True
        except ssl.SSLWantReadError:
            pass
        finally:
            if outgoing.pending:  # including an alert about the peer's certificate
                await stream.send(outgoing.read())
        if not is_done:
            incoming.write(await stream.receive())
    return tls, incoming, outgoing
