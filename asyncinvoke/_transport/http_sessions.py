"""aiobotocore's two HTTP sessions, as an invoker configures them, and a single request through either.

Neither reports the progress of a request. But aiohttp asks for the body once it is connected, and
httpx calls back at each step. Until a request begins to be written, the function cannot have run.
From then on, it counts as written.
"""

import copy
import io
import socket
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.httpxsession import HttpxSession
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload, Payload
from botocore.awsrequest import AWSPreparedRequest
from yarl import URL

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._transport.answers import texts
from asyncinvoke._transport.http.opening import note_socket
from asyncinvoke._transport.stream import AiohttpBody, Body, body_of
from asyncinvoke._transport.template import Outgoing, origin_of

# In seconds; AWS's NAT gateways and load balancers drop connections that are idle for 350 s.
_IDLE = 60
_INTERVAL = 30
_PROBES = 5


def keepalive_options() -> list[tuple[int, int, int]]:
    """Return the socket options for TCP keep-alive on this platform, as arguments of `setsockopt`."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (
        # macOS uses a different name.
        ("TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE", _IDLE),
        ("TCP_KEEPINTVL", _INTERVAL),
        ("TCP_KEEPCNT", _PROBES),
    ):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


def keepalive_socket(address: Any) -> socket.socket:
    """Create a socket with TCP keep-alive for an address of `getaddrinfo`; aiohttp's socket factory."""
    connection = plain_socket(address)
    for option in keepalive_options():
        connection.setsockopt(*option)
    return connection


def plain_socket(address: Any) -> socket.socket:
    """Create a socket without TCP keep-alive for such an address; likewise a socket factory."""
    family, kind, protocol = address[:3]
    connection = socket.socket(family, kind, protocol)
    note_socket(connection)
    return connection


def _wants_keepalive(socket_options: Iterable[tuple[int, int, int]] | None) -> bool:
    """Whether botocore's socket options, which the backends ignore, ask for TCP keep-alive."""
    return socket_options is None or any(
        option[:2] == (socket.SOL_SOCKET, socket.SO_KEEPALIVE) for option in socket_options
    )


class KeepaliveAiohttpSession(AIOHTTPSession):  # type: ignore[misc]
    """An `AIOHTTPSession` for an invoker's own client, with TCP keep-alive unless it is off."""

    def __init__(
        self, *args: Any, connector_args: Any = None, socket_options: Any = None, **kwargs: Any
    ) -> None:
        factory = keepalive_socket if _wants_keepalive(socket_options) else plain_socket
        super().__init__(
            *args,
            connector_args={"socket_factory": factory, **(connector_args or {})},
            socket_options=socket_options,
            **kwargs,
        )

    async def _get_session(self, proxy_url: str | None) -> "WithoutRedirects":
        return WithoutRedirects(await super()._get_session(proxy_url))


class WithoutRedirects:
    """An aiohttp session that returns redirects as answers.

    Following one would deliver the payload twice, the second time to an unknown host.
    """

    def __init__(self, session: Any) -> None:
        self.unwrapped = session

    def request(self, method: str, url: Any, **options: Any) -> Any:
        """Make a request as the session would."""
        return self.unwrapped.request(method, url, **{**options, "allow_redirects": False})


# In seconds; the backend's default of 5 s is too short for 6 MB on a slow line.
_WRITE_TIMEOUT = 120.0


class KeepaliveHttpxSession(HttpxSession):  # type: ignore[misc]
    """An `HttpxSession` for an invoker's own client, with TCP keep-alive unless it is off."""

    def __init__(
        self, *args: Any, connector_args: Any = None, socket_options: Any = None, **kwargs: Any
    ) -> None:
        # The invoker's permits bound the number of requests, so waiting for the pool is harmless.
        defaults = {"write_timeout": _WRITE_TIMEOUT, "pool_timeout": None}
        super().__init__(
            *args,
            connector_args={**defaults, **(connector_args or {})},
            socket_options=socket_options,
            **kwargs,
        )
        self.keepalive = keepalive_options() if _wants_keepalive(socket_options) else []
        """The socket options of its connections."""

    def _make_async_client(self) -> Any:
        client = super()._make_async_client()
        for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
            pool: Any = getattr(transport, "_pool", None)
            if pool is not None and hasattr(pool, "_socket_options"):
                pool._socket_options = self.keepalive  # noqa: SLF001
            if pool is not None:
                close_unfinished_tunnels(pool)
        return client


def close_unfinished_tunnels(pool: Any) -> None:
    """Make httpcore's proxy pool close tunnels whose request ends before they are established.

    By default httpcore leaks a tunnel whose TLS handshake was cancelled, timed out or failed: its
    socket and its slot in the pool stay in use. Once all slots have leaked, nothing is sent any
    more.
    """
    create = getattr(pool, "create_connection", None)
    if create is None:
        return

    def create_closing(origin: Any) -> Any:
        connection = create(origin)
        handle = connection.handle_async_request

        async def handle_or_close(request: Any) -> Any:
            del connection.handle_async_request  # the first request makes the tunnel
            try:
                return await handle(request)
            except BaseException:
                if not connection._connected:  # noqa: SLF001
                    with anyio.CancelScope(shield=True):
                        await connection.aclose()
                raise

        if getattr(connection, "_connected", None) is False:  # only a tunnel has that
            connection.handle_async_request = handle_or_close
        return connection

    pool.create_connection = create_closing


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
        http_session = _with(http_session, WithoutRedirects)
    elif isinstance(http_session, HttpxSession) and hasattr(http_session, "_get_session"):
        progress.phase = Phase.CONNECTING
        http_session = _with(http_session, lambda session: _Traced(session, progress))
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


class _Traced:
    """The part of an httpx client that aiobotocore uses; it records when a request is written.

    httpcore leaks a connection whose TLS handshake is cancelled: it stays open until the garbage
    collector runs. So it is closed here.
    """

    def __init__(self, session: Any, progress: Progress) -> None:
        self._session = session
        self._progress = progress
        self._stream: Any = None  # of a connection being opened

    def build_request(self, *, extensions: dict[str, Any], **options: Any) -> Any:
        """Build a request that reports its progress."""
        return self._session.build_request(
            extensions={**extensions, "trace": self._trace}, **options
        )

    def send(self, request: Any, **options: Any) -> Awaitable[Any]:
        """Send a request."""
        sending: Awaitable[Any] = self._session.send(request, **options)
        return sending

    async def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._stream = info["return_value"]
        elif event.endswith("start_tls.failed") and self._stream is not None:
            stream, self._stream = self._stream, None
            if not isinstance(info["exception"], Exception):  # else httpcore closes it
                with anyio.CancelScope(shield=True):
                    await stream.aclose()
        # A tunnel through a proxy is opened by a request of its own.
        begins = event.endswith("send_request_headers.started")
        if begins and info["request"].method != b"CONNECT":
            self._stream = None
            self._progress.phase = Phase.WRITTEN


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
            allow_redirects=False,
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
                # `open` disables redirects itself.
                session=getattr(session, "unwrapped", session),
            )
        return route


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Route:
    """The route of requests to one origin."""

    proxy: str | None
    proxy_headers: Any
    session: Any
