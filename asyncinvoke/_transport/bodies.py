"""The body of an answer as it comes, from either HTTP library, as it was sent: nothing is decoded."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

MOST = 6_291_556 + 65_536
"""Bytes of a whole answer that are read: the longest that Lambda gives, and some."""


class TooLongError(Exception):
    """An answer is longer than any of Lambda's."""


class Body(Protocol):
    """The body of one answer."""

    async def read(self) -> bytes:
        """Return what has come, at least one byte; nothing at the end."""
        ...

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end. Safe to call at any time."""
        ...


async def read_whole(body: Body) -> bytes:
    """Read a body to its end, and close it.

    Raises:
        TooLongError: It is longer than any of Lambda's.
        Exception: Whatever the HTTP library raises.
    """
    pieces, length = [], 0
    try:
        while piece := await body.read():
            pieces.append(piece)
            length += len(piece)
            if length > MOST:
                raise TooLongError
    finally:
        await body.aclose()
    return b"".join(pieces)


def known(raw: Any) -> bool:
    """Whether this is an answer of aiohttp or of httpx."""
    return hasattr(raw, "aiter_raw") or hasattr(getattr(raw, "content", None), "readany")


def body_of(raw: Any) -> Body:
    """Return the body of an answer of aiohttp or of httpx."""
    return HttpxBody(raw) if hasattr(raw, "aiter_raw") else AiohttpBody(raw)


class AiohttpBody:
    """The body of an answer of aiohttp, from a session that decodes nothing."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    async def read(self) -> bytes:
        """Return what has come; nothing at the end."""
        data: bytes = await self._raw.content.readany()
        return data

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        self._raw.close()


class HttpxBody:
    """The body of an answer of httpx, before it decodes anything."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._pieces: AsyncIterator[bytes] = raw.aiter_raw()

    async def read(self) -> bytes:
        """Return what has come; nothing at the end."""
        return await anext(self._pieces, b"")

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        await self._raw.aclose()
        # The iterator holds others that only its end closes; trio would warn of those left over.
        with contextlib.suppress(Exception):
            while await self.read():
                pass
