"""Opens connections as aiobotocore's httpx session is configured, but with anyio."""

import ssl
from collections.abc import Iterable
from typing import Any

from asyncinvoke._transport.http.connection import Opener
from asyncinvoke._transport.http.errors import NotOursError
from asyncinvoke._transport.http.open_anyio import open_anyio


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
