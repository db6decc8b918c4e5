"""Streamed responses: the body from any of the HTTP backends, and `OpenStream` on top of it.

Bodies are passed on as they were sent; no Content-Encoding is decoded.
"""

import contextlib
import math
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Protocol

import anyio

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import StreamEnd, StreamHead
from asyncinvoke._transport.event_stream import FrameReader
from asyncinvoke._transport.exceptions import failure_from
from asyncinvoke._transport.http.errors import WireError
from asyncinvoke._transport.http.streamed_answer import StreamedAnswer

MOST = 6_291_556 + 65_536
"""The maximum size of a body that is read as a whole, in bytes: Lambda's limit, and a margin."""


class Body(Protocol):
    """The body of a response."""

    async def read(self) -> list[bytes]:
        """Return the pieces that have arrived, at least one; an empty list at the end."""
        ...

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end. Safe to call at any time."""
        ...


async def read_whole(body: Body) -> bytes:
    """Read a body to its end, and close it.

    Raises:
        WireError: It exceeds Lambda's limit.
        Exception: Any error of the HTTP library.
    """
    pieces: list[bytes] = []
    length = 0
    try:
        while come := await body.read():
            pieces += come
            length += sum(map(len, come))
            if length > MOST:
                message = f"the answer is longer than {MOST} bytes, which none of Lambda's is"
                raise WireError(TransportFault.PROTOCOL, Phase.HEAD_READ, message)
    finally:
        await body.aclose()
    return b"".join(pieces)


def known(raw: Any) -> bool:
    """Return whether this is a response of ours, of aiohttp or of httpx."""
    return (
        isinstance(raw, RawAnswer)
        or hasattr(raw, "aiter_raw")
        or hasattr(getattr(raw, "content", None), "readany")
    )


def body_of(raw: Any) -> Body:
    """Return the body of a response of ours, of aiohttp or of httpx."""
    if isinstance(raw, RawAnswer):
        return raw.body
    return HttpxBody(raw) if hasattr(raw, "aiter_raw") else AiohttpBody(raw)


class AiohttpBody:
    """The body of a response of aiohttp, from a session that does not decode it."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    async def read(self) -> list[bytes]:
        """Return the data that has arrived; nothing at the end."""
        data: bytes = await self._raw.content.readany()
        return [data] if data else []

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        self._raw.close()


class HttpxBody:
    """The body of a response of httpx, before any decoding."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._pieces: AsyncIterator[bytes] = raw.aiter_raw()

    async def read(self) -> list[bytes]:
        """Return the data that has arrived; nothing at the end."""
        data = await anext(self._pieces, b"")
        return [data] if data else []

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        await self._raw.aclose()
        # The iterator wraps others, which are closed only at its end. Otherwise trio warns.
        with contextlib.suppress(Exception):
            while await self.read():
                pass


class OwnBody:
    """The body of a response on one of our own connections."""

    def __init__(self, answer: StreamedAnswer) -> None:
        self._answer = answer
        self._has_ended = False

    async def read(self) -> list[bytes]:
        """Return the pieces that have arrived; an empty list at the end."""
        pieces = await self._answer.receive()
        self._has_ended = not pieces
        return pieces

    async def aclose(self) -> None:
        """Return the connection to the pool if the body was read to its end, else close it."""
        await (self._answer.finish() if self._has_ended else self._answer.aclose())


class WholeBody:
    """A body that has been read as a whole."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> list[bytes]:
        """Return the whole body; nothing at the end."""
        content, self._content = self._content, b""
        return [content] if content else []

    async def aclose(self) -> None:
        """Do nothing: no connection is open."""


class RawAnswer:
    """The part of aiohttp's response that aiobotocore uses, on top of one of our bodies."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self._left = b""

    @property
    def content(self) -> "RawAnswer":
        """The stream of the body, by aiohttp's name."""
        return self

    async def readany(self) -> bytes:
        """Return the data that has arrived; nothing at the end."""
        left, self._left = self._left, b""
        return left or b"".join(await self.body.read())

    async def read(self, size: int = -1) -> bytes:
        """Return the rest of the body, or at most `size` bytes of it; fewer only at its end."""
        pieces, length = [], 0
        while (size < 0 or length < size) and (piece := await self.readany()):
            pieces.append(piece)
            length += len(piece)
        content = b"".join(pieces)
        if size >= 0:
            content, self._left = content[:size], content[size:]
        return content

    def close(self) -> None:
        """Do nothing: the caller closes the body."""


_LAST_WORDS = 1.0
"""How long to wait for the end of the body after `InvokeComplete`, in seconds, so that the connection
can be reused."""


class OpenStream:
    """A stream whose head has been read.

    Args:
        head: The status and headers.
        body: The body, which enforces the deadline.
        deadline: When the stream must have ended, as `time.monotonic()`.
    """

    def __init__(self, head: StreamHead, body: Body, deadline: float = math.inf) -> None:
        self.head = head
        self._body = body
        self._deadline = deadline
        self._frames = FrameReader()
        self.chunks: deque[bytes] = deque()
        """The chunks that have arrived, whoever takes them; one read may contain many."""

    async def receive(self) -> bytes | StreamEnd | Failure:
        """Return the next chunk, or how the stream ended; failures are returned, not raised.

        At most about 1 MiB is read ahead, so a slow caller slows the sender down (backpressure).
        """
        while not self.chunks:
            if self._frames.end is not None:
                return self._frames.end
            try:
                pieces = await self._body.read()
            except Exception as error:  # noqa: BLE001  # converted to a Failure
                return failure_from(error, Phase.HEAD_READ)
            if not pieces:
                return Failure(
                    fault=TransportFault.TRUNCATED,
                    phase=Phase.BODY_READ,
                    message="no InvokeComplete came",
                )
            self.chunks.extend(self._frames.feed(pieces))
        return self.chunks.popleft()

    async def finish(self) -> None:
        """After the end of the stream, keep the connection if the body ends soon, else close it."""
        # The result is complete, so an error only costs the connection. The deadline must not pass
        # while waiting here.
        patience = min(_LAST_WORDS, (self._deadline - time.monotonic()) / 2)
        try:
            with contextlib.suppress(Exception), anyio.move_on_after(patience):
                while await self._body.read():
                    pass
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        with anyio.CancelScope(shield=True):
            await self._body.aclose()
