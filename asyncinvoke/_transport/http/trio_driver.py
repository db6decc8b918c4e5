"""A connection on trio, run in the tasks of its callers."""

import math
import ssl
from collections.abc import Callable

import trio

from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import Answer, AnswerError, Headers
from asyncinvoke._transport.http.connection import (
    BODY_READ,
    CONNECTED,
    SLICE,
    WRITTEN,
    WRITTEN_IN_PART,
    Connection,
    Limits,
    note_head,
    uptime,
)
from asyncinvoke._transport.http.errors import WireError, ended
from asyncinvoke._transport.http.exchange_clock import ExchangeClock
from asyncinvoke._transport.http.reader import AnswerReader
from asyncinvoke._transport.http.timers import trio_call_later
from asyncinvoke._transport.http.trio_stream import LOST, TrioStream
from asyncinvoke._transport.http.whole import WholeReader


class TrioConnection:
    """Carries exchanges over an open stream, one at a time.

    Usually the kernel accepts a request without blocking, and the only wait is for the answer. The
    rest of a large request is written by a task beside the reading one, so that an early answer is
    noticed. Timeouts and deadlines are enforced by the clock, as on asyncio: when one passes, or
    another task closes the connection, the socket is closed under the waiting task, which then
    finds the reason. The error is stored, and raised where no frame holds the request.
    """

    def __init__(self, stream: TrioStream) -> None:
        self.born = uptime()
        self.on_end: Callable[[Connection], object] | None = None
        self.reused = False
        self.reusable = False
        self._stream = stream
        self._closed = False
        self._clock = ExchangeClock(self)
        self._is_awaited = False
        self._error: WireError | None = None
        self._progress = Progress()
        self._whole = WholeReader()
        self._reader = AnswerReader(0)
        self._reader.complete = True  # no exchange has begun

    def tls(self) -> ssl.SSLObject | None:
        """Return the TLS object of this connection; `None` for a plain connection."""
        return self._stream.tls

    def is_quiet(self) -> bool:
        """Return whether the connection is alive and no unsolicited data has arrived."""
        return not self._closed and self._stream.is_quiet()

    async def exchange(
        self, head: bytes, body: bytes, progress: Progress, limits: Limits
    ) -> Answer:
        """Write a request and read the whole answer."""
        reader = self._reader = AnswerReader(limits.most_body, self._whole)
        await self._carry(head, body, progress, limits, _is_whole)
        if self._error is not None:
            head = body = b""
            raise self._error.anew()
        answer = reader.answer()
        reader.forget()  # an idle connection must not keep it
        return answer

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
        """Return the pieces of a streamed body that have arrived; an empty list at its end."""
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
        """Fail the current exchange with this fault, and close the connection.

        A waiting task is woken by the closed socket, and raises this fault.
        """
        if self._error is None and not self._reader.complete:
            self._fail(fault, message)
        self.abort()

    def abort(self) -> None:
        """Close immediately, without close_notify; safe to call again."""
        if self._closed:
            return
        self._closed = True
        self.reusable = False
        self._clock.stop()
        self._reader.close()
        self._whole.close()
        self._stream.close()
        if self.on_end is not None:
            self.on_end(self)

    async def wait_closed(self) -> None:
        """Return at once: after `abort` the connection is already closed."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Schedule a callback on this event loop; return a function that cancels it."""
        return trio_call_later(seconds, callback)

    def unsent(self) -> int | None:
        """Return a value that changes as bytes of a request are sent; `None` if all are sent."""
        return self._stream.taken if self._progress.phase is WRITTEN_IN_PART else None

    def is_under_way(self) -> bool:
        """Return whether an exchange is in progress."""
        return not self._reader.complete

    def is_awaited(self) -> bool:
        """Return whether a caller is waiting for data; if not, silence is not the peer's fault."""
        return self._is_awaited

    async def _carry(
        self,
        head: bytes,
        body: bytes,
        progress: Progress,
        limits: Limits,
        is_done: Callable[[AnswerReader], bool],
    ) -> None:
        """Write a request, and read the answer as far as requested."""
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
        """Write the rest of the request while reading.

        The nursery is an implementation detail: its error is raised as is, not in a group, just as
        if the kernel had accepted the request at once.
        """
        cause: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                await self._read_until(is_done)
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            cause = _main_error(group)
        if cause is not None:
            try:
                raise cause  # raised outside `except`, so it has no context
            finally:
                del cause  # else it and this frame form a reference cycle

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
        """Update the phase of the exchange."""
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
                note_head(progress, reader.status, reader.head)

    def _fail(
        self, fault: TransportFault, message: str, cause: BaseException | None = None
    ) -> None:
        self._error = ended(fault, self._progress.phase, message, cause)
        self._error.begun = self._reader.begun()


def _main_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one error to report for a group: an interrupt, a cancellation, or the first."""
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
