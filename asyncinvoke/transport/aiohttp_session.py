"""aiobotocore's aiohttp backend with TCP keep-alive, and without following redirects."""

from typing import Any

from aiobotocore.httpsession import AIOHTTPSession

from asyncinvoke.transport.keepalive import keepalive_socket


class KeepaliveAiohttpSession(AIOHTTPSession):  # type: ignore[misc]
    """An `AIOHTTPSession` for an invoker's own client."""

    def __init__(self, *args: Any, connector_args: Any = None, **kwargs: Any) -> None:
        defaults = {"socket_factory": keepalive_socket}
        super().__init__(*args, connector_args={**defaults, **(connector_args or {})}, **kwargs)

    async def _get_session(self, proxy_url: str | None) -> "_WithoutRedirects":
        return _WithoutRedirects(await super()._get_session(proxy_url))


class _WithoutRedirects:
    """An aiohttp session that takes a redirect for an answer.

    To follow it would deliver the payload twice, the second time to who knows whom.
    """

    def __init__(self, session: Any) -> None:
        self.unwrapped = session

    def request(self, method: str, url: Any, **options: Any) -> Any:
        return self.unwrapped.request(method, url, **{**options, "allow_redirects": False})
