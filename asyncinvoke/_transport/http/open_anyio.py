"""Opens connections with anyio, where there is no asyncio for aiohttp to live in."""

import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream, SocketAttribute

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
    except ImportError as missing:
        raise NotOursError(str(missing)) from None
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    options = list(socket_options)
    if parts.scheme == "https" and ssl_context is None:
        ssl_context = ssl.create_default_context()

    async def open_one(_: Progress) -> Connection:
        with anyio.fail_after(connect_timeout):
            stream: ByteStream
            if parts.scheme == "https":
                # An end without TLS's farewell is an end: whether the answer is whole is seen at
                # its length, and where it has none everybody takes it so.
                stream = await anyio.connect_tcp(
                    host,
                    port,
                    tls=True,
                    ssl_context=ssl_context,
                    tls_standard_compatible=False,
                )
            else:
                stream = await anyio.connect_tcp(host, port)
        for option in options:
            stream.extra(SocketAttribute.raw_socket).setsockopt(*option)
        return TrioConnection(stream)

    return open_one
