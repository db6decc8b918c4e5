"""A connection on trio, run in the tasks of its callers."""

import math
import ssl
import time
from collections.abc import Callable

import trio

from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import Answer, AnswerError, Headers
from asyncinvoke._transport.http.connection import (
    BODY_READ,
    CONNECTED,
    HEAD_READ,
    SLICE,
    WRITTEN,
    WRITTEN_IN_PART,
    Connection,
    ExchangeClock,
    Limits,
)
from asyncinvoke._transport.http.errors import WireError, ended
from asyncinvoke._transport.http.reader import AnswerReader
from asyncinvoke._transport.http.trio_stream import LOST, TrioStream


class TrioConnection:
    """Carries exchanges over an open stream, one at a time.

    Mostly the kernel takes a request without waiting, and there is one wait for the answer. What is
    left of a large request is written by a task beside the one that reads, so that an early answer
    is seen. Silence and deadlines are the clock's, as on asyncio: where time is up, or somebody else
    ends the connection, the socket is closed under whoever waits, who then finds why. What has gone
    wrong is noted, and raised where no frame holds the request.
    """

    def __init__(self, stream: TrioStream) -> None:
        self.born = time.monotonic()
        self.on_end: Callable[[Connection], object] | None = None
        self.reused = False
        self.reusable = False
        self._stream = stream
        self._closed = False
        self._clock = ExchangeClock(self)
        self._is_awaited = False
        self._error: WireError | None = None
        self._progress = Progress()
        self._reader = AnswerReader(0)
        self._reader.complete = True  # as no exchange has begun

    def tls(self) -> ssl.SSLObject | None:
        """Return what TLS has agreed upon, if it is under this connection."""
        return self._stream.tls

    def is_quiet(self) -> bool:
        """Look whether it is alive, and nothing has arrived that nobody asked for."""
        return not self._closed and self._stream.is_quiet()

    async def exchange(
        self, head: bytes, body: bytes, progress: Progress, limits: Limits
    ) -> Answer:
        """Write a request and read the whole answer."""
        reader = self._reader = AnswerReader(limits.most_body)
        await self._carry(head, body, progress, limits, _is_whole)
        if self._error is not None:
            head = body = b""
            raise self._error.anew()
        return reader.answer()

    async def begin_stream(
        self, head: bytes, body: bytes, progress: Progress, limits: Limits
    ) -> tuple[int, Headers]:
        """Write a request and read the head of the answer: its status and headers."""
        reader = self._reader = AnswerReader(math.inf)
        await self._carry(head, body, progress, limits, _has_head)
        if self._error is not None and not reader.head_read:
            head = body = b""
            raise self._error.anew()
        return reader.status, Headers(reader.head)

    async def receive(self) -> list[bytes]:
        """Return the pieces of a streamed answer's body that have arrived, or none at its end."""
        reader = self._reader
        self._clock.heard()
        self._is_awaited = True
        try:
            await self._read_until(_has_piece)
        finally:
            self._is_awaited = False
        if reader.pieces:
            pieces, reader.pieces = reader.pieces, []
            return pieces
        if self._error is not None:
            raise self._error.anew()
        return []

    def end(self, fault: TransportFault, message: str) -> None:
        """End what is under way with this fault, and the connection.

        Whoever waits wakes up to a closed socket, and finds this.
        """
        if self._error is None and not self._reader.complete:
            self._fail(fault, message)
        self.abort()

    def abort(self) -> None:
        """Close at once, without a word to the peer; safe to call again."""
        if self._closed:
            return
        self._closed = True
        self.reusable = False
        self._clock.stop()
        self._reader.close()
        self._stream.close()
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

    def unsent(self) -> int | None:
        """Return what changes as bytes of a request go out; `None` if all are out."""
        return self._stream.taken if self._progress.phase is WRITTEN_IN_PART else None

    def is_under_way(self) -> bool:
        """Whether an exchange has begun and not ended."""
        return not self._reader.complete

    def is_awaited(self) -> bool:
        """Whether somebody waits for what comes; else the silence is ours."""
        return self._is_awaited

    async def _carry(
        self,
        head: bytes,
        body: bytes,
        progress: Progress,
        limits: Limits,
        is_done: Callable[[AnswerReader], bool],
    ) -> None:
        """Write a request, and read what is wanted of the answer."""
        self.reusable = False
        self._error = None
        self._progress = progress
        self._is_awaited = True
        progress.phase = self._stream.write(head, body)
        del head, body
        if progress.phase is CONNECTED:
            self._fail(TransportFault.CONNECTION_LOST, "the connection ended before it was used")
            return
        self._clock.begin(progress, limits)
        if progress.phase is WRITTEN:
            await self._read_until(is_done)
        else:
            await self._write_and_read(is_done)
        self._is_awaited = False

    async def _write_and_read(self, is_done: Callable[[AnswerReader], bool]) -> None:
        """Write what is left, and read beside it.

        The nursery is nobody's business: what ends it comes out as it would where the kernel has
        taken the request at once, and not in a group.
        """
        cause: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                await self._read_until(is_done)
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            cause = _foremost(group)
        if cause is not None:
            try:
                raise cause  # out here it drags no context along
            finally:
                del cause  # or it and this frame would keep each other alive

    async def _write(self) -> None:
        if await self._stream.write_rest():
            self._progress.phase = WRITTEN
            self._clock.heard()

    async def _read_until(self, is_done: Callable[[AnswerReader], bool]) -> None:
        while self._error is None and not is_done(self._reader):
            await self._read()

    async def _read(self) -> None:
        reader = self._reader
        try:
            data = await self._stream.receive()
        except LOST as error:
            fault = TransportFault.CONNECTION_LOST
            if reader.head_read:
                fault = TransportFault.TRUNCATED
            if self._error is None:
                self._fail(fault, "the connection was lost", error)
            return
        try:
            if data:
                reader.feed(data)
            else:
                reader.feed_eof(is_told=self._stream.is_told)
        except AnswerError as error:
            self._note(reader)
            self._fail(error.fault, error.message)
        else:
            self._note(reader)

    def _note(self, reader: AnswerReader) -> None:
        """Note how far the exchange has come."""
        progress = self._progress
        is_written = progress.phase is not WRITTEN_IN_PART
        if reader.head_read and not is_written:
            self._stream.stop()
        if reader.complete:
            self.reusable = (
                is_written
                and reader.keep_alive
                and not reader.surplus
                and not self._closed
                and (reader.status < 300 or self._stream.size <= SLICE)
            )
            progress.phase = BODY_READ
        else:
            self._clock.heard()
            if reader.head_read:
                if progress.head is None:
                    progress.head = reader.status, Headers(reader.head)
                if is_written:
                    progress.phase = HEAD_READ

    def _fail(
        self, fault: TransportFault, message: str, cause: BaseException | None = None
    ) -> None:
        self._error = ended(fault, self._progress.phase, message, cause)
        self._error.begun = self._reader.begun()


def _foremost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one error of a group that is told: an interrupt, a cancellation, or the first."""
    _, interrupts = group.split((Exception, trio.Cancelled))
    cancelled, _ = group.split(trio.Cancelled)
    found: BaseException = interrupts or cancelled or group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _is_whole(reader: AnswerReader) -> bool:
    return reader.complete


def _has_head(reader: AnswerReader) -> bool:
    return reader.head_read


def _has_piece(reader: AnswerReader) -> bool:
    return bool(reader.pieces) or reader.complete
