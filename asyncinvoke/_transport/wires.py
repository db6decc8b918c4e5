"""The routes of a client: our own connections, or else aiobotocore's HTTP session."""

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._transport.answers import decides
from asyncinvoke._transport.exceptions import failure_from, not_connected
from asyncinvoke._transport.http.asyncio_opening import open_aiohttp
from asyncinvoke._transport.http.connection import Opener
from asyncinvoke._transport.http.errors import NotOursError
from asyncinvoke._transport.http.pool import Connections
from asyncinvoke._transport.http.trio_opening import open_httpx
from asyncinvoke._transport.http_sessions import (
    OF_AIOHTTP,
    OF_HTTPX,
    KeepaliveHttpxSession,
    LibraryCalls,
)
from asyncinvoke._transport.process import on_asyncio
from asyncinvoke._transport.sdk_code import defined, foreign_link
from asyncinvoke._transport.senders import AiohttpSender, Sender, SessionSender
from asyncinvoke._transport.set_up_urls import bare_url
from asyncinvoke._transport.stream import MOST, Body, OwnBody, read_whole
from asyncinvoke._transport.template import Outgoing, origin_of

Exchanged: TypeAlias = tuple[int, Mapping[str, str], bytes]
"""Status, headers by lower-case name, and the whole body."""

OpenAnswer: TypeAlias = tuple[int, Mapping[str, str], Body]
"""Status, headers by lower-case name, and the body as it arrives."""

_logger = logging.getLogger("asyncinvoke")

_WRITE_TIMEOUT = 120.0
"""The maximum time without progress while a request is written, in seconds; aiohttp has no limit."""

_MOST_IDLE = 12.0
"""How long a connection may be idle, in seconds, unless the client's configuration sets less."""

_ON_THE_WAY = (
    TransportFault.CONNECT,
    TransportFault.CONNECTION_LOST,
    TransportFault.PROTOCOL,
    TransportFault.UNEXPECTED,
)


class Wires:
    """Chooses how to reach each origin, once per origin.

    Our own connections are used if the internals of aiobotocore's session are known, and aiohttp or
    httpx is not patched. Everything else goes through the session: plain HTTP through a proxy,
    session classes of the caller, and traced sessions.

    Args:
        http_session: The entered HTTP session of an open client.
    """

    def __init__(self, http_session: Any) -> None:
        self._http_session = http_session
        self._calls = LibraryCalls(http_session)
        self._routes: dict[str, Connections | None] = {}
        self._is_closed = False
        self.session: Sender = (
            AiohttpSender(http_session)
            if AiohttpSender.reachable(http_session)
            else SessionSender(http_session)
        )

    @property
    def library(self) -> tuple[tuple[type, str], ...]:
        """The library functions that our own connections bypass, each as the class that defines it and a name."""
        return self._calls.first, self._calls.second

    def are_plainly_of(self, http_session: Any) -> bool:
        """Return whether these are the routes of this session, and its `send` is that of aiobotocore."""
        if http_session is not self._http_session or "send" in vars(http_session):
            return False
        # As it is in the class: a wrapper of wrapt shows the globals of what it wraps.
        return foreign_link(defined(type(http_session), "send")[1]) is None

    def ours(self, origin: str) -> Connections | None:
        """Return our own connections to an origin, if they may be used now."""
        try:
            connections = self._routes[origin]
        except KeyError:
            connections = self._routes[origin] = self._open(origin)
        return connections if self._calls.are_plain() else None

    async def exchange(self, request: Outgoing, progress: Progress) -> Exchanged | Failure:
        """Send a request once, and read the whole response; failures are returned, not raised."""
        try:
            ours = self.ours(origin_of(request.url))
            if ours is not None:
                try:
                    answer = await ours.exchange(request.head(), request.payload, progress)
                except NotOursError as error:
                    self.not_ours(origin_of(request.url), error)
                else:
                    return answer.status, answer.headers, answer.body
            refusal = self.refusal(progress)
            if refusal is not None:
                return refusal
            status_code, headers, body = await self.session.open(request, progress)
            progress.phase = Phase.HEAD_READ
            progress.head = status_code, headers
            read = await self.whole(body, status_code, progress)
        except Exception as error:  # noqa: BLE001  # converted to a Failure
            return self.failure(error, request.url, progress)
        if isinstance(read, Failure):
            return read
        progress.phase = Phase.BODY_READ
        return status_code, headers, read

    async def open(self, request: Outgoing, progress: Progress) -> OpenAnswer | Failure:
        """Send a request once, and read the head of the response; failures are returned, not raised."""
        try:
            ours = self.ours(origin_of(request.url))
            if ours is not None:
                try:
                    answer = await ours.stream(request.head(), request.payload, progress)
                except NotOursError as error:
                    self.not_ours(origin_of(request.url), error)
                else:
                    return answer.status, answer.headers, OwnBody(answer)
            refusal = self.refusal(progress)
            if refusal is not None:
                return refusal
            status_code, headers, body = await self.session.open(request, progress)
        except Exception as error:  # noqa: BLE001  # converted to a Failure
            return self.failure(error, request.url, progress)
        progress.phase = Phase.HEAD_READ
        progress.head = status_code, headers
        return status_code, headers, body

    async def whole(self, body: Body, status_code: int, progress: Progress) -> bytes | Failure:
        """Read the body of a response; failures are returned, not raised.

        If the status determines the result, an unreadable body counts as an empty one.
        """
        try:
            return await read_whole(body)
        except Exception as error:  # noqa: BLE001  # converted to a Failure
            failure = failure_from(error, progress.phase)
            return b"" if decides(status_code) else failure

    def failure(self, error: Exception, url: str, progress: Progress) -> Failure:
        """Convert the exception of an exchange to a failure."""
        failure = failure_from(error, progress.phase)
        if failure.phase is not Phase.CONNECTING:
            return failure
        proxies = getattr(self._http_session, "_proxy_config", None)
        has_proxy = proxies is not None and proxies.proxy_url_for(url) is not None
        if has_proxy and failure.fault in _ON_THE_WAY:
            # A connection closed before the tunnel was established was closed by the proxy.
            failure = replace(failure, fault=TransportFault.PROXY)
        message = not_connected(failure, bare_url(origin_of(url)), has_proxy=has_proxy)
        return replace(failure, message=message)

    def connecting(self) -> dict[str, int]:
        """Return how many of our own connections are being opened, by origin."""
        routes = [(origin, ours) for origin, ours in list(self._routes.items()) if ours is not None]
        return {bare_url(origin): ours.opening for origin, ours in routes if ours.opening}

    def not_ours(self, origin: str, why: NotOursError) -> None:
        """Use the session for an origin from now on."""
        self._routes[origin] = None
        _logger.debug(
            "requests to %s go through aiobotocore's HTTP session: %s", bare_url(origin), why
        )

    async def aclose(self) -> None:
        """Close our own connections, which fails the exchanges in progress.

        Requests sent later fail with the fault `CLOSED`, whatever their route.
        """
        self._is_closed = True
        ours = [connections for connections in self._routes.values() if connections is not None]
        for connections in ours:
            connections.end()
        for connections in ours:
            await connections.aclose()

    def refusal(self, progress: Progress) -> Failure | None:
        """Return the failure of a request after closing; `None` before."""
        if not self._is_closed:
            return None
        closed = TransportFault.CLOSED
        return Failure(fault=closed, phase=progress.phase, message="the connections were closed")

    def _open(self, origin: str) -> Connections | None:
        try:
            return self._connections(origin)
        except (NotOursError, AttributeError) as error:
            self.not_ours(origin, NotOursError(str(error)))
            return None

    def opener(self, origin: str) -> Opener:
        """Return an opener of our own connections to an origin.

        Raises:
            NotOursError: Only the session can serve this route.
            AttributeError: A private attribute of the session is missing.
        """
        session = self._http_session
        if (session._connector_args or {}).get("force_close"):  # noqa: SLF001
            raise NotOursError("its connections are not to be kept")
        if type(session) in OF_AIOHTTP:
            if any(inner.trace_configs for inner in session._sessions.values()):  # noqa: SLF001
                raise NotOursError("aiohttp's session is traced")
            return open_aiohttp(session, origin)
        if type(session) in OF_HTTPX:
            if on_asyncio():
                raise NotOursError("httpx was chosen where there is aiohttp")
            options = session.keepalive if isinstance(session, KeepaliveHttpxSession) else ()
            return open_httpx(session, origin, socket_options=options)
        raise NotOursError(f"the HTTP session is a {type(session).__name__}")

    def _connections(self, origin: str) -> Connections:
        opener = self.opener(origin)
        session = self._http_session
        arguments, timeout = session._connector_args or {}, session._timeout  # noqa: SLF001
        idle = arguments.get("keepalive_timeout")  # 0 for no reuse
        if type(session) in OF_AIOHTTP:
            read, write = timeout.sock_read, _WRITE_TIMEOUT
        else:
            read, write = timeout.read, timeout.write
        connections = Connections(
            opener,
            most_body=MOST,
            read_timeout=math.inf if read is None else read,
            write_timeout=math.inf if write is None else write,
            most_idle=_MOST_IDLE if idle is None else min(_MOST_IDLE, idle),
        )
        if self._is_closed:
            connections.end()  # it would not be closed later
        return connections
