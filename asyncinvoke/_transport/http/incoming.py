"""The body of a streamed answer between an asyncio transport and whoever receives it."""

import asyncio
from collections import deque

from asyncinvoke._transport.http.errors import WireError
from asyncinvoke._transport.http.reader import AnswerReader

_MOST = 262_144
"""From this many bytes on, none are read from the socket."""


class Incoming:
    """Keeps the pieces that have arrived, and holds the socket back when they are too many."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._is_held = False
        self._has_ended = False
        self._error: WireError | None = None
        self._receiver: asyncio.Future[None] | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the next piece."""
        return self._receiver is not None

    def take(self, reader: AnswerReader) -> None:
        """Take what the reader has."""
        self._pieces.extend(reader.pieces)
        self._size += sum(map(len, reader.pieces))
        reader.pieces.clear()
        self._has_ended = reader.complete
        if self._size > _MOST and not self._is_held:
            self._is_held = True
            self._transport.pause_reading()
        self._wake()

    def fail(self, error: WireError) -> None:
        """Have an error raised once everything before it was received."""
        self._error = error
        self._wake()

    async def receive(self) -> bytes:
        """Return the next piece, or nothing at the end.

        Raises:
            WireError: The answer ended early.
        """
        while not self._pieces:
            if self._error is not None:
                raise self._error.anew()
            if self._has_ended:
                return b""
            self._receiver = asyncio.get_running_loop().create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._is_held and self._size <= _MOST // 2:
            self._is_held = False
            self._transport.resume_reading()
        return piece

    def _wake(self) -> None:
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)
