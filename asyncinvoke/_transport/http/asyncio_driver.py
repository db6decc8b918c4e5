"""A connection on asyncio and uvloop: a protocol on a transport, without a task of its own."""

import asyncio
import math
import ssl
from collections.abc import Callable
from typing import Any

from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import Answer, AnswerError, Headers
from asyncinvoke._transport.http.asyncio_stream import (
    Incoming,
    RequestWriter,
    decrypted_before,
)
from asyncinvoke._transport.http.connection import (
    BODY_READ,
    CONNECTED,
    SLICE,
    WRITTEN,
    WRITTEN_IN_PART,
    Connection,
    Limits,
    look_at,
    note_head,
    said_farewell,
    uptime,
)
from asyncinvoke._transport.http.errors import ended
from asyncinvoke._transport.http.exchange_clock import ExchangeClock
from asyncinvoke._transport.http.reader import AnswerReader
from asyncinvoke._transport.http.whole import WholeReader


class AsyncioConnection(asyncio.Protocol):
    """Takes over an open transport and carries exchanges over it, one at a time.

    An exchange is a future that is resolved by the callback that reads the last byte. The
    connection belongs to that exchange until its owner releases it, so a cancellation that arrives
    after the answer cannot affect another exchange.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.born = uptime()
        self.on_end: Callable[[Connection], object] | None = None
        self.reused = False
        self.reusable = False
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._is_readable = look_at(transport.get_extra_info("socket").fileno())
        self._writer = RequestWriter(transport, self._is_readable)
        self._clock = ExchangeClock(self)
        self._retired = False
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._whole = WholeReader()
        self._unfed: AnswerReader | None = None  # for the first answer that `_whole` cannot read
        self._reader: AnswerReader | None = None  # during an exchange
        self._waiter: asyncio.Future[Any] | None = None
        self._incoming: Incoming | None = None
        transport.set_protocol(self)

    def tls(self) -> ssl.SSLObject | None:
        """Return the TLS object of this connection; `None` for a plain connection."""
        found: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        return found

    def is_quiet(self) -> bool:
        """Return whether the connection is alive and no unsolicited data has arrived."""
        # With TLS, the socket may be closed, and its descriptor reused, before we are notified.
        return not (self._retired or self._transport.is_closing() or self._is_readable())

    def exchange(
        self, head: bytes, body: bytes, progress: Progress, limits: Limits
    ) -> asyncio.Future[Answer]:
        """Write a request and read the whole answer."""
        self._reader = self._unfed = self._unfed or AnswerReader(limits.most_body)
        self._incoming = None
        return self._begin(head, body, progress, limits)

    def begin_stream(
        self, head: bytes, body: bytes, progress: Progress, limits: Limits
    ) -> asyncio.Future[tuple[int, Headers]]:
        """Write a request and read the head of the answer: its status and headers."""
        self._reader = AnswerReader(math.inf)
        self._incoming = Incoming(self._transport)
        return self._begin(head, body, progress, limits)

    async def receive(self) -> list[bytes]:
        """Return the pieces of a streamed body that have arrived; an empty list at its end."""
        assert self._incoming is not None  # noqa: S101  # set by `begin_stream`
        self._clock.heard()
        return await self._incoming.receive()

    def end(self, fault: TransportFault, message: str) -> None:
        """Fail the current exchange with this fault, and close the connection."""
        if self._reader is not None:
            self._fail(fault, message)
        self.abort()

    def abort(self) -> None:
        """Close immediately, without close_notify; safe to call again."""
        self._settle()
        self._retire()
        self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait, after `abort`, until the connection is closed."""
        await asyncio.wait([self._lost])

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Schedule a callback on this event loop; return a function that cancels it."""
        return self._loop.call_later(seconds, callback).cancel

    def unsent(self) -> int | None:
        """Return how many bytes of the request are buffered in this process; `None` if none."""
        return self._writer.waiting if self._writer.phase is WRITTEN_IN_PART else None

    def is_under_way(self) -> bool:
        """Return whether an exchange is in progress."""
        return self._reader is not None

    def is_awaited(self) -> bool:
        """Return whether a caller is waiting for data; if not, silence is not the peer's fault."""
        return self._waiter is not None or (
            self._incoming is not None and self._incoming.is_awaited
        )

    def _begin(
        self, head: bytes, body: bytes, progress: Progress, limits: Limits
    ) -> asyncio.Future[Any]:
        self.reusable = False
        self._progress = progress
        self._limits = limits
        self._waiter = waiter = self._loop.create_future()
        progress.phase = self._writer.write(head, body)
        if progress.phase is CONNECTED:
            self._fail(TransportFault.CONNECTION_LOST, "the connection ended before it was used")
        else:
            self._clock.begin(progress, limits)
        return waiter

    # Callbacks of the transport.

    def data_received(self, data: bytes) -> None:
        """Feed data to the reader; outside an exchange it is unsolicited."""
        reader = self._reader
        if reader is None:
            self._retire()
            return
        if reader is self._unfed and self._progress.phase is WRITTEN:
            # Nearly always; what follows reads such an answer too, but takes longer.
            answer = self._whole.read(data, self._limits.most_body)
            if answer is not None:
                self._complete(answer.status, self._whole.keep_alive)
                self._wake(answer)
                return
        self._unfed = None
        try:
            reader.feed(data)
        except AnswerError as error:
            self._take(reader)
            self._fail(error.fault, error.message)
        else:
            self._take(reader)

    def eof_received(self) -> None:
        """Handle the end of the peer's data: it ends the answer, or comes too early."""
        tls = self.tls()
        self._peer_ended(is_told=tls is None or said_farewell(tls))

    def _peer_ended(self, *, is_told: bool) -> None:
        reader = self._reader
        if reader is not None:
            try:
                reader.feed_eof(is_told=is_told)
            except AnswerError as error:
                self._fail(error.fault, error.message)
            else:
                self._take(reader)
        self._retire()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the loss of the connection, which fails the current exchange."""
        if not self._retired:
            rest = decrypted_before(exc)
            if self._incoming is not None:
                rest += self._incoming.held_by_tls()
            if rest:
                self.data_received(rest)
        if exc is None:
            # uvloop reports an end without close_notify only in this way, and any end while reading
            # is paused.
            tls = self.tls()
            self._peer_ended(is_told=tls is None or said_farewell(tls))
        elif self._reader is not None:
            fault = TransportFault.CONNECTION_LOST
            if self._reader.head_read:
                fault = TransportFault.TRUNCATED
            self._fail(fault, "the connection was lost", exc)
        self._retire()
        if not self._lost.done():
            self._lost.set_result(None)
        if self.on_end is not None:
            self.on_end(self)

    def pause_writing(self) -> None:
        """Note that bytes are buffered in this process."""
        self._writer.pause()

    def resume_writing(self) -> None:
        """Note that no bytes are buffered in this process."""
        self._writer.resume()
        self._settle()
        self._clock.heard()

    # Ending an exchange.

    def _take(self, reader: AnswerReader) -> None:
        """Pass on what the reader has parsed."""
        self._settle()
        if reader.head_read and self._progress.phase is WRITTEN_IN_PART:
            self._writer.stop()
        if reader.complete:
            self._complete(reader.status, reader.keep_alive and not reader.surplus)
        else:
            self._clock.heard()
            if reader.head_read:
                note_head(self._progress, reader.status, reader.head)
        if self._incoming is not None:
            if reader.head_read and self._waiter is not None:
                self._wake((reader.status, Headers(reader.head)))
            self._incoming.take(reader)
        elif reader.complete:
            self._wake(reader.answer())

    def _complete(self, status: int, keep_alive: bool) -> None:
        """End the exchange, whose answer has been read to its end."""
        progress = self._progress
        self._reader = None
        self.reusable = (
            keep_alive
            and not self._retired
            and progress.phase is not WRITTEN_IN_PART
            and (status < 300 or self._writer.size <= SLICE)
        )
        progress.phase = BODY_READ
        if not self.reusable:
            self._retire()

    def _fail(self, fault: TransportFault, message: str, cause: Exception | None = None) -> None:
        self._settle()
        error = ended(fault, self._progress.phase, message, cause)
        if self._reader is not None:
            error.begun = self._reader.begun()
            self._reader.close()
            self._reader = None
        if self._waiter is None:
            if self._incoming is not None:
                self._incoming.fail(error)
        elif not self._waiter.done():
            self._waiter.set_exception(error)
            self._waiter = None
        self._retire()

    def _wake(self, result: object) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():  # else its owner was cancelled
            waiter.set_result(result)

    def _settle(self) -> None:
        """Update the phase if the kernel has accepted the rest of the request meanwhile."""
        if self._reader is not None and self._progress.phase is WRITTEN_IN_PART:
            self._progress.phase = self._writer.phase

    def _retire(self) -> None:
        """Mark the connection as unusable, and close it.

        asyncio's TLS layer breaks if it is aborted from within some of its callbacks, so the abort
        is scheduled on the loop. If bytes of the request are still buffered it happens at once,
        because they must not be sent any more.
        """
        if self._retired:
            return
        self._retired = True
        self.reusable = False
        self._clock.stop()
        self._whole.close()
        if self._writer.phase is WRITTEN:
            self._loop.call_soon(self._transport.abort)
        else:
            self._transport.abort()
