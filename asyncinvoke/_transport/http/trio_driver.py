"""A connection on trio: anyio's byte stream, plain or TLS, and a scope around each wait."""

import math
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import trio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute

from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import Answer, Headers
from asyncinvoke._transport.http.connection import (
    BODY_READ,
    HEAD_READ,
    WRITTEN,
    WRITTEN_IN_PART,
    Connection,
    Limits,
    look_at,
)
from asyncinvoke._transport.http.errors import AnswerError, WireError, ended
from asyncinvoke._transport.http.reader import AnswerReader
from asyncinvoke._transport.http.trio_writer import LOST, TrioWriter

_PIECE = 65_536
_AT_ONCE = 65_536
"""What is left of a request up to this many bytes is written before anything is read."""
_CLOCKS_APART = 0.001
"""How far trio's clock and `time.monotonic()` may be apart, in seconds."""


class TrioConnection:
    """Carries exchanges over an open stream, one at a time, in the task of whoever asks.

    Mostly the kernel takes a request without waiting, and one scope around the wait for the answer
    keeps all times. What is left of a large request is written by a task beside the one that reads,
    so that an early answer is seen. What goes wrong within is noted, and raised where no frame holds
    the request.
    """

    def __init__(self, stream: ByteStream) -> None:
        self.born = time.monotonic()
        self.on_end: Callable[[Connection], object] | None = None
        self.reused = False
        self.reusable = False
        self._stream = stream
        self._writer = TrioWriter(stream)
        self._socket = stream.extra(SocketAttribute.raw_socket)
        self._tls: ssl.SSLObject | None = stream.extra(TLSAttribute.ssl_object, None)
        self._is_readable = look_at(self._socket.fileno())
        self._closed = False
        self._scope = trio.CancelScope()
        self._error: WireError | None = None
        self._reader = AnswerReader(0)

    def is_quiet(self) -> bool:
        """Look whether it is alive, and nothing has arrived that nobody asked for."""
        if self._closed or self._is_readable():
            return False
        if self._tls is None:
            return True
        try:
            self._tls.read(1)  # what came with the last answer waits in this process
        except ssl.SSLWantReadError:
            return True
        except (ssl.SSLError, OSError):
            pass
        return False

    async def exchange(
        self, head: bytes, body: bytes, progress: Progress, limits: Limits
    ) -> Answer:
        """Write a request and read the whole answer."""
        self._begin(progress, limits, limits.most_body)
        await self._carry(self._writer.begin(head, body), _is_whole)
        if self._error is not None:
            head = body = b""
            raise self._error.anew()
        return self._reader.answer()

    async def begin_stream(
        self, head: bytes, body: bytes, progress: Progress, limits: Limits
    ) -> tuple[int, Headers]:
        """Write a request and read the head of the answer: its status and headers."""
        self._begin(progress, limits, math.inf)
        await self._carry(self._writer.begin(head, body), _has_head)
        if self._error is not None and not self._reader.head_read:
            head = body = b""
            raise self._error.anew()
        return self._reader.status, Headers(self._reader.head)

    async def receive(self) -> bytes:
        """Return the next piece of a streamed answer's body, or nothing at its end."""
        reader = self._reader
        if self._error is None and not _has_piece(reader):
            await self._timed(partial(self._read_until, _has_piece), self._limits.read_timeout)
        if reader.pieces:
            return reader.pieces.pop(0)
        if self._error is not None:
            raise self._error.anew()
        return b""

    def interrupt(self, fault: TransportFault) -> None:
        """End what is under way with this fault, and the connection."""
        if not self._closed:
            self._end(fault, "the connection was closed on this side")
            self._scope.cancel()
            self.abort()

    def abort(self) -> None:
        """Close at once, without a word to the peer; safe to call again."""
        if self._closed:
            return
        self._closed = True
        self.reusable = False
        self._reader.close()
        anyio.notify_closing(self._socket)
        self._socket.close()
        if self.on_end is not None:
            self.on_end(self)

    async def wait_closed(self) -> None:
        """Wait, after `abort`, until nothing is left of it: which is so already."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Have something called on this event loop; return what calls it off.

        No task of ours is there to wait in, and so trio's own nursery lends one.
        """
        scope = trio.CancelScope()

        async def wait() -> None:
            with scope:
                await trio.sleep(seconds)
                callback()

        trio.lowlevel.spawn_system_task(wait)
        return scope.cancel

    def _begin(self, progress: Progress, limits: Limits, most_body: float) -> None:
        self.reusable = False
        self._error = None
        self._progress = progress
        self._limits = limits
        self._reader = AnswerReader(most_body)

    async def _carry(
        self, left: list[memoryview] | None, is_done: Callable[[AnswerReader], bool]
    ) -> None:
        """Write what is left of a request and read what is wanted of the answer."""
        if left is None:
            self._end(TransportFault.CONNECTION_LOST, "the connection ended before it was used")
            return
        read = partial(self._read_until, is_done)
        if left:
            self._progress.phase = WRITTEN_IN_PART
            await self._timed(partial(self._write, left, read), self._limits.write_timeout)
        else:
            self._progress.phase = WRITTEN
            await self._timed(read, self._limits.read_timeout)

    async def _write(self, left: list[memoryview], read: Callable[[], Awaitable[None]]) -> None:
        if sum(map(len, left)) <= _AT_ONCE:
            await self._write_left(left)
            await read()
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_left, left)
            await read()
            nursery.cancel_scope.cancel()

    async def _write_left(self, left: list[memoryview]) -> None:
        if await self._writer.write(left, partial(self._allow, self._limits.write_timeout)):
            self._progress.phase = WRITTEN
            self._allow(self._limits.read_timeout)

    async def _read_until(self, is_done: Callable[[AnswerReader], bool]) -> None:
        while self._error is None and not is_done(self._reader):
            await self._read()

    async def _read(self) -> None:
        reader = self._reader
        try:
            data = await self._stream.receive(_PIECE)
        except anyio.EndOfStream:
            data = b""
        except LOST as error:
            fault = TransportFault.CONNECTION_LOST
            if reader.head_read:
                fault = TransportFault.TRUNCATED
            self._end(fault, "the connection was lost", error.__cause__)
            return
        try:
            if data:
                reader.feed(data)
            else:
                reader.feed_eof()
        except AnswerError as error:
            self._note(reader)
            self._end(error.fault, error.message)
        else:
            self._note(reader)

    def _note(self, reader: AnswerReader) -> None:
        """Note how far the exchange has come, and give it time for more."""
        progress = self._progress
        is_written = progress.phase is not WRITTEN_IN_PART
        if reader.head_read and not is_written:
            self._writer.stop()
        if reader.complete:
            self.reusable = (
                is_written and reader.keep_alive and not reader.surplus and not self._closed
            )
            progress.phase = BODY_READ
        elif is_written:
            self._allow(self._limits.read_timeout)
            if reader.head_read:
                progress.phase = HEAD_READ

    async def _timed(self, work: Callable[[], Awaitable[None]], limit: float) -> None:
        """Do it in the time that there is."""
        with trio.CancelScope(deadline=self._due(limit)) as self._scope:
            try:
                await work()
            except trio.Cancelled as cancelled:
                # Frames further in hold what was sent, and this, which would be a circle.
                cancelled.__traceback__ = cancelled.__context__ = None
                raise
            return
        if self._error is not None:
            return  # it was ended by somebody else
        if time.monotonic() >= self._progress.deadline - _CLOCKS_APART:
            self._end(TransportFault.INTERRUPTED, "its time was up")
        elif self._progress.phase is WRITTEN_IN_PART:
            limit = self._limits.write_timeout
            self._end(TransportFault.WRITE_TIMEOUT, f"nothing moved for {limit:g} s")
        else:
            limit = self._limits.read_timeout
            self._end(TransportFault.READ_TIMEOUT, f"nothing moved for {limit:g} s")

    def _allow(self, limit: float) -> None:
        """Something has moved: give it so much time for the next."""
        self._scope.deadline = self._due(limit)

    def _due(self, limit: float) -> float:
        """Return the end of so many seconds, or the deadline if that is sooner, on trio's clock."""
        left = self._progress.deadline - time.monotonic()
        return trio.current_time() + (min(left, limit))

    def _end(self, fault: TransportFault, message: str, cause: BaseException | None = None) -> None:
        self._error = ended(fault, self._progress.phase, message, cause)


def _is_whole(reader: AnswerReader) -> bool:
    return reader.complete


def _has_head(reader: AnswerReader) -> bool:
    return reader.head_read


def _has_piece(reader: AnswerReader) -> bool:
    return bool(reader.pieces) or reader.complete
