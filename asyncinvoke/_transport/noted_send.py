"""Sends a request through aiobotocore's own HTTP session, noting how far it comes.

Neither backend tells by itself. aiohttp asks for the body once there is a connection, and httpx calls
back as it goes; until the request is begun to be written nothing that could run has left. After that
it counts as written. The session that is used is a copy of the client's, which is not touched.
"""

import copy
import io
from collections.abc import Awaitable
from typing import Any

from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.httpxsession import HttpxSession
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload, Payload

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._transport.http_sessions import WithoutRedirects


def noted_send(http_session: Any, request: Any, progress: Progress) -> Awaitable[Any]:
    """Send a prepared request of botocore's once; no redirect is followed, no answer asked encoded.

    Args:
        http_session: The session of an open client.
        request: The request, which is changed: its body, and what it accepts.
        progress: Where to note how far it comes.
    """
    # Unsigned, and added by both backends; but httpx would ask for more, and undo it.
    request.headers["Accept-Encoding"] = "identity"
    if isinstance(http_session, AIOHTTPSession) and hasattr(http_session, "_get_session"):
        progress.phase = Phase.CONNECTING
        request.body = NotedPayload(bytes_of(request.body), progress)
        http_session = _with(http_session, WithoutRedirects)
    elif isinstance(http_session, HttpxSession) and hasattr(http_session, "_get_session"):
        progress.phase = Phase.CONNECTING
        http_session = _with(http_session, lambda session: _Traced(session, progress))
    else:
        progress.phase = Phase.WRITTEN
    sending: Awaitable[Any] = http_session.send(request)
    return sending


def bytes_of(body: Any) -> bytes:
    """Return the body of a prepared request; aiobotocore gets large payloads as files."""
    content: bytes = body.getvalue() if isinstance(body, io.BytesIO) else body or b""
    return content


class NotedPayload(BytesPayload):
    """A payload for aiohttp that notes when it is written, which is after a connection was made.

    It is also how many bytes go to aiohttp, which would warn of them, and advise to send a file at
    twice the cost.
    """

    def __init__(self, value: bytes, progress: Progress) -> None:
        Payload.__init__(self, value)
        self._size = len(value)
        self._progress = progress

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write it."""
        self._progress.phase = Phase.WRITTEN
        await super().write_with_length(writer, content_length)


class _Traced:
    """As much of an httpx client as aiobotocore uses, whose requests note when they are written."""

    def __init__(self, session: Any, progress: Progress) -> None:
        self._session = session
        self._progress = progress

    def build_request(self, *, extensions: dict[str, Any], **options: Any) -> Any:
        """Build a request that calls back."""
        return self._session.build_request(
            extensions={**extensions, "trace": self._trace}, **options
        )

    def send(self, request: Any, **options: Any) -> Awaitable[Any]:
        """Send a request."""
        sending: Awaitable[Any] = self._session.send(request, **options)
        return sending

    async def _trace(self, event: str, info: dict[str, Any]) -> None:
        # A proxy is asked for a tunnel first, by a request of its own.
        begins = event.endswith("send_request_headers.started")
        if begins and info["request"].method != b"CONNECT":
            self._progress.phase = Phase.WRITTEN


def _with(http_session: Any, wrap: Any) -> Any:
    """Return a copy of a session whose inner one is wrapped."""
    get_session = http_session._get_session  # noqa: SLF001

    async def get_wrapped(key: Any) -> Any:
        return wrap(await get_session(key))

    http_session = copy.copy(http_session)
    http_session._get_session = get_wrapped  # noqa: SLF001
    return http_session
