"""A streamed answer: its body through either HTTP library, and `OpenStream` over it.

A body is given as it was sent: nothing is decoded.
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
from asyncinvoke._transport.answers import FrameReader
from asyncinvoke._transport.exceptions import failure_from
from asyncinvoke._transport.http.errors import WireError
from asyncinvoke._transport.http.pool import StreamedAnswer

MOST = 6_291_556 + 65_536
"""Bytes of a whole answer that are read: the longest that Lambda gives, and some."""


class Body(Protocol):
    """The body of one answer."""

    async def read(self) -> list[bytes]:
        """Return the pieces that have come, at least one; none at the end."""
        ...

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end. Safe to call at any time."""
        ...


async def read_whole(body: Body) -> bytes:
    """Read a body to its end, and close it.

    Raises:
        WireError: It is longer than any of Lambda's.
        Exception: Whatever the HTTP library raises.
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
    """Whether this is an answer of ours, of aiohttp or of httpx."""
    return (
        isinstance(raw, RawAnswer)
        or hasattr(raw, "aiter_raw")
        or hasattr(getattr(raw, "content", None), "readany")
    )


def body_of(raw: Any) -> Body:
    """Return the body of an answer of ours, of aiohttp or of httpx."""
    if isinstance(raw, RawAnswer):
        return raw.body
    return HttpxBody(raw) if hasattr(raw, "aiter_raw") else AiohttpBody(raw)


class AiohttpBody:
    """The body of an answer of aiohttp, from a session that decodes nothing."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    async def read(self) -> list[bytes]:
        """Return what has come; nothing at the end."""
        data: bytes = await self._raw.content.readany()
        return [data] if data else []

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        self._raw.close()


class HttpxBody:
    """The body of an answer of httpx, before it decodes anything."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._pieces: AsyncIterator[bytes] = raw.aiter_raw()

    async def read(self) -> list[bytes]:
        """Return what has come; nothing at the end."""
        data = await anext(self._pieces, b"")
        return [data] if data else []

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        await self._raw.aclose()
        # The iterator holds others that only its end closes; trio would warn of those left over.
        with contextlib.suppress(Exception):
            while await self.read():
                pass


class OwnBody:
    """The body of an answer on a connection of ours."""

    def __init__(self, answer: StreamedAnswer) -> None:
        self._answer = answer
        self._has_ended = False

    async def read(self) -> list[bytes]:
        """Return the pieces that have come; none at the end."""
        pieces = await self._answer.receive()
        self._has_ended = not pieces
        return pieces

    async def aclose(self) -> None:
        """Give the connection back after the end, and close it before."""
        await (self._answer.finish() if self._has_ended else self._answer.aclose())


class WholeBody:
    """A body that was read to its end."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> list[bytes]:
        """Return all of it; nothing at the end."""
        content, self._content = self._content, b""
        return [content] if content else []

    async def aclose(self) -> None:
        """Do nothing: there is no connection behind it."""


class RawAnswer:
    """As much of an answer of aiohttp as aiobotocore reads, over a body of ours."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self._left = b""

    @property
    def content(self) -> "RawAnswer":
        """What aiohttp calls the stream of the body."""
        return self

    async def readany(self) -> bytes:
        """Return what has come; nothing at the end."""
        left, self._left = self._left, b""
        return left or b"".join(await self.body.read())

    async def read(self, size: int = -1) -> bytes:
        """Return the whole body, or so many bytes of it, or fewer at the end."""
        pieces, length = [], 0
        while (size < 0 or length < size) and (piece := await self.readany()):
            pieces.append(piece)
            length += len(piece)
        content = b"".join(pieces)
        if size >= 0:
            content, self._left = content[:size], content[size:]
        return content

    def close(self) -> None:
        """Do nothing: whoever has made the call closes the body."""


_LAST_WORDS = 1.0
"""Seconds that a body may take to end after `InvokeComplete`, so that its connection is kept."""


class OpenStream:
    """A stream whose head has come.

    Args:
        head: What came before the body.
        body: The body, which keeps the deadline.
        deadline: When all of it must have ended, on `time.monotonic()`.
    """

    def __init__(self, head: StreamHead, body: Body, deadline: float = math.inf) -> None:
        self.head = head
        self._body = body
        self._deadline = deadline
        self._pieces: deque[bytes] = deque()
        self._frames = FrameReader()
        self._ready: deque[bytes | StreamEnd | Failure] = deque()

    async def receive(self) -> bytes | StreamEnd | Failure:
        """Return the next chunk or how the stream ended; a failure is a value.

        Nothing is read ahead: the service is slowed down to the caller's pace.
        """
        while (taken := self.take()) is None:
            try:
                pieces = await self._body.read()
            except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a value
                return failure_from(error, Phase.HEAD_READ)
            if not pieces:
                return Failure(
                    fault=TransportFault.TRUNCATED,
                    phase=Phase.BODY_READ,
                    message="no InvokeComplete came",
                )
            self._pieces.extend(pieces)
        return taken

    def take(self) -> bytes | StreamEnd | Failure | None:
        """Return what `receive` would, if it is at hand: what comes in one read is many chunks."""
        while not self._ready and self._pieces:
            self._ready.extend(self._frames.feed(self._pieces.popleft()))
        return self._ready.popleft() if self._ready else None

    async def finish(self) -> None:
        """After the end: keep the connection if the body ends soon, and close it otherwise."""
        # The answer is complete, whatever happens: only the connection can be lost. So a deadline
        # must not pass in here.
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
