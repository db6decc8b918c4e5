"""A single request through an HTTP session of aiobotocore, and how far it got.

Neither session reports the progress of a request. But aiohttp asks for the body once it is
connected, and httpx calls back at each step. Until a request begins to be written, the function
cannot have run. From then on, it counts as written.
"""

import copy
import io
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.httpxsession import HttpxSession
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload, Payload
from botocore.awsrequest import AWSPreparedRequest
from yarl import URL

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._transport.aiohttp_client import SingleDeliveries
from asyncinvoke._transport.answers import texts
from asyncinvoke._transport.http_sessions import KeepaliveAiohttpSession
from asyncinvoke._transport.httpx_client import TracedClient
from asyncinvoke._transport.stream import AiohttpBody, Body, body_of
from asyncinvoke._transport.template import Outgoing, origin_of


def noted_send(http_session: Any, request: Any, progress: Progress) -> Awaitable[Any]:
    """Send a prepared request of botocore once, without redirects and content encodings.

    It is sent through a copy of the session, which is not modified.

    Args:
        http_session: The session of an open client.
        request: The request; its body and its Accept-Encoding are modified.
        progress: Updated as the request proceeds.
    """
    # The header is not signed. By default httpx would accept, and decode, other encodings.
    request.headers["Accept-Encoding"] = "identity"
    if isinstance(http_session, AIOHTTPSession) and hasattr(http_session, "_get_session"):
        content = bytes_of(request.body)
        # Progress of a stream is not visible, so it counts as written from the start.
        progress.phase = Phase.WRITTEN if content is None else Phase.CONNECTING
        if content is not None:
            request.body = NotedPayload(content, progress)
        http_session = _with(http_session, SingleDeliveries)
    elif isinstance(http_session, HttpxSession) and hasattr(http_session, "_get_session"):
        progress.phase = Phase.CONNECTING
        http_session = _with(http_session, lambda session: TracedClient(session, progress))
    else:
        progress.phase = Phase.WRITTEN
    sending: Awaitable[Any] = http_session.send(request)
    return sending


def bytes_of(body: Any) -> bytes | None:
    """Return the body of a prepared request; `None` if it is a stream, such as one with a checksum.

    Large payloads are passed to aiobotocore as files.
    """
    if isinstance(body, io.BytesIO):
        return body.getvalue()
    if body is None:
        return b""
    return bytes(body) if isinstance(body, bytes | bytearray) else None


class NotedPayload(BytesPayload):
    """A payload for aiohttp that records when it is written, which is after connecting.

    It also avoids aiohttp's warning about large `bytes`: sending a file costs twice as much.
    """

    def __init__(self, value: bytes, progress: Progress) -> None:
        Payload.__init__(self, value)
        self._size = len(value)
        self._progress = progress

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the payload, and record it."""
        self._progress.phase = Phase.WRITTEN
        await super().write_with_length(writer, content_length)


def _with(http_session: Any, wrap: Any) -> Any:
    """Return a copy of a session whose inner one is wrapped."""
    get_session = http_session._get_session  # noqa: SLF001

    async def get_wrapped(key: Any) -> Any:
        return wrap(await get_session(key))

    http_session = copy.copy(http_session)
    http_session._get_session = get_wrapped  # noqa: SLF001
    return http_session


class Sender(Protocol):
    """Sends a request once, and returns the response as it arrives."""

    async def open(
        self, request: Outgoing, progress: Progress
    ) -> tuple[int, Mapping[str, str], Body]:
        """Return status, headers by lower-case name, and body; raise any error of the backend."""
        ...


class SessionSender:
    """Sends through the `send` method of any HTTP session of aiobotocore."""

    def __init__(self, http_session: Any) -> None:
        self._http_session = http_session

    async def open(
        self, request: Outgoing, progress: Progress
    ) -> tuple[int, Mapping[str, str], Body]:
        """Send a request once, and read the head of the response."""
        answer = await noted_send(self._http_session, _prepared(request), progress)
        return answer.status_code, texts(answer.headers), body_of(answer.raw)


def _prepared(request: Outgoing) -> AWSPreparedRequest:
    # As a stream, since httpx would decode a body that it reads by itself.
    return AWSPreparedRequest(request.method, request.url, request.headers(), request.payload, True)


class AiohttpSender:
    """Sends through the aiohttp session inside aiobotocore's, at two thirds of the cost.

    It relies on two private attributes of `AIOHTTPSession`; see `reachable`.
    """

    def __init__(self, http_session: AIOHTTPSession) -> None:
        self._http_session = http_session
        self._routes: dict[str, _Route] = {}

    @staticmethod
    def reachable(http_session: Any) -> bool:
        """Return whether this is a session whose private attributes are known."""
        return type(http_session) in (AIOHTTPSession, KeepaliveAiohttpSession) and all(
            hasattr(http_session, name) for name in ("_get_session", "_proxy_config")
        )

    async def open(
        self, request: Outgoing, progress: Progress
    ) -> tuple[int, Mapping[str, str], Body]:
        """Send a request once, and read the head of the response."""
        progress.phase = Phase.CONNECTING
        route = await self._route(request.url)
        answer = await route.session.request(
            request.method,
            URL(request.url, encoded=True),
            headers={**request.headers(), "Accept-Encoding": "identity"},
            data=NotedPayload(request.payload, progress),
            proxy=route.proxy,
            proxy_headers=route.proxy_headers,
        )
        return answer.status, texts(answer.headers), AiohttpBody(answer)

    async def _route(self, url: str) -> "_Route":
        origin = origin_of(url)
        route = self._routes.get(origin)
        if route is None:
            proxies = self._http_session._proxy_config  # noqa: SLF001
            proxy = proxies.proxy_url_for(url)
            session = await self._http_session._get_session(proxy)  # noqa: SLF001
            route = self._routes[origin] = _Route(
                proxy=proxy,
                proxy_headers=None if proxy is None else proxies.proxy_headers_for(url),
                session=SingleDeliveries(session),
            )
        return route


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Route:
    """The route of requests to one origin."""

    proxy: str | None
    proxy_headers: Any
    session: SingleDeliveries
