"""Between a connection and its asyncio transport: writing the request, reading a streamed body."""

import asyncio
import ssl
import traceback
from collections.abc import Callable
from typing import Any

from asyncinvoke._model.delivery import Phase
from asyncinvoke._transport.http.connection import (
    CONNECTED,
    SLICE,
    WRITTEN,
    WRITTEN_IN_PART,
    rest_of_tls,
)
from asyncinvoke._transport.http.errors import WireError
from asyncinvoke._transport.http.reader import AnswerReader


class RequestWriter:
    """Writes one request after another, and tracks whether the kernel has accepted all of it.

    A transport buffers what the kernel does not accept at once, and clears that buffer before it
    reports a lost connection, so the buffer size is useless afterwards. Flow control is not: with
    watermarks that trigger at the first buffered byte, `pause_writing` means that bytes are
    buffered in this process, and `resume_writing` that none are. Both may be called from within
    `write`, and the last state is kept when the connection dies.

    - asyncio and uvloop, plain TCP: exact. If the first `write` leaves the transport closing, the
      kernel has accepted nothing.
    - asyncio, TLS: flow control covers the plaintext that is not encrypted yet. Ciphertext is
      buffered by the transport below, whose state is read from a private attribute of the TLS
      layer; exact if that attribute exists.
    - uvloop with TLS, and TLS in TLS: the transport below is not visible. What the TLS layer has
      accepted counts as sent, which is the safe assumption.
    """

    __slots__ = (
        "_carrier",
        "_is_readable",
        "_layer",
        "_loop",
        "_paused",
        "_rest",
        "_stopped",
        "_transport",
        "size",
    )

    def __init__(self, transport: asyncio.Transport, is_readable: Callable[[], object]) -> None:
        """Take control of a transport's flow control."""
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._layer, self._carrier = _beneath(transport)
        self._is_readable = is_readable
        self._paused = False
        self._stopped = False
        self._rest: memoryview | None = None
        self.size = 0
        """The size of the last request's body, in bytes."""
        # With TLS, a watermark of 0 pauses at 0 bytes and then never resumes.
        transport.set_write_buffer_limits(1 if _is_tls(transport) else 0)

    def write(self, head: bytes, body: bytes) -> Phase:
        """Write a request, slicing a large body, and return the phase reached.

        `CONNECTED` means that the kernel has accepted none of it and never will.
        """
        self.size = len(body)
        if self.size <= SLICE:
            self._transport.write(head + body)
        else:
            view = memoryview(body)
            self._rest = view[SLICE:]
            self._transport.write(b"".join((head, view[:SLICE])))
        if self._carrier.is_closing():
            return CONNECTED
        layer = self._layer
        is_held = self._paused or (layer is not None and layer._ssl_writing_paused)  # noqa: SLF001  # see above
        if self._rest is None and not is_held:
            return WRITTEN  # nearly always, so this does not call the two below
        self._continue()
        return self.phase

    @property
    def phase(self) -> Phase:
        """`WRITTEN` if the kernel has accepted the whole request, else `WRITTEN_IN_PART`."""
        if self._rest is not None or self._paused:
            return WRITTEN_IN_PART
        if self._layer is not None and self._layer._ssl_writing_paused:  # noqa: SLF001  # see above
            return WRITTEN_IN_PART
        return WRITTEN

    @property
    def waiting(self) -> int:
        """The number of bytes buffered in this process; compare it over time to see progress."""
        size = 0 if self._rest is None else len(self._rest)
        if self._carrier is not self._transport:
            size += self._carrier.get_write_buffer_size()
        return size + self._transport.get_write_buffer_size()

    def stop(self) -> None:
        """Write no more of the request: its answer arrived before it was fully written."""
        self._stopped = True

    def pause(self) -> None:
        """Handle `pause_writing`."""
        self._paused = True

    def resume(self) -> None:
        """Handle `resume_writing`."""
        self._paused = False
        if self._rest is not None:
            # Scheduled on the loop: if a write within this callback fails, asyncio reports the end
            # of the transport twice, and breaks the second time.
            self._loop.call_soon(self._continue)

    def _continue(self) -> None:
        while self._rest is not None and not self._paused and not self._stopped:
            if self._transport.is_closing():
                return
            if self._is_readable():
                # Read an early answer before writing more: its sender may be gone.
                self._loop.call_soon(self._continue)
                return
            rest = self._rest
            self._transport.write(rest[:SLICE])
            if self._carrier.is_closing():
                return  # none of this slice was accepted; the rest stays unsent
            self._rest = rest[SLICE:] if len(rest) > SLICE else None


def _is_tls(transport: Any) -> bool:
    return transport.get_extra_info("ssl_object") is not None


def _beneath(transport: Any) -> tuple[Any, Any]:
    """Return asyncio's TLS layer, if there is one directly on TCP, and the transport below."""
    layer = getattr(transport, "_ssl_protocol", None)
    inner = getattr(layer, "_transport", None)
    if inner is None or _is_tls(inner) or not hasattr(layer, "_ssl_writing_paused"):
        return None, transport
    inner.set_write_buffer_limits(0)
    return layer, inner


def decrypted_before(error: Exception | None) -> bytes:
    """Return what asyncio's TLS layer had decrypted when it met the record that ended the connection.

    Such a record is a damaged one, or a fatal alert. The layer reads all that has arrived before it
    passes anything on, so an answer that arrived with such a record is left in a frame, to which
    the error refers. uvloop's frames hold nothing: there the answer is lost.
    """
    if not isinstance(error, ssl.SSLError):
        return b""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "_do_read__copied":
            found = frame.f_locals
            return b"".join(found.get("data") or [found.get("first", b"")])
    return b""


_PIECE = 524_288
"""How much of a stream asyncio reads at once over plain TCP, in bytes; 256 KiB by default, as with
TLS and on uvloop, and each wake-up is costly."""

_MOST = _PIECE  # less would pause after each read
"""The high watermark: with more bytes buffered, reading from the socket is paused."""


class Incoming:
    """Buffers the pieces that have arrived, and pauses reading (backpressure) if they pile up."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        if hasattr(transport, "max_size"):  # asyncio's plain transport has it
            transport.max_size = _PIECE
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_held = False
        self._has_ended = False
        self._error: WireError | None = None
        self._receiver: asyncio.Future[None] | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether a caller is waiting for the next piece."""
        return self._receiver is not None

    def take(self, reader: AnswerReader) -> None:
        """Take the pieces that the reader has parsed."""
        self._pieces += reader.pieces
        self._size += sum(map(len, reader.pieces))
        reader.pieces.clear()
        self._has_ended = reader.complete
        if self._size > _MOST and not self._is_held:
            self._is_held = True
            self._transport.pause_reading()
        self._wake()

    def held_by_tls(self) -> bytes:
        """Return what a TLS layer has received while reading was paused, and has not passed on.

        uvloop's drops that if the connection ends before reading is resumed.
        """
        tls = self._transport.get_extra_info("ssl_object") if self._is_held else None
        return b"" if tls is None else rest_of_tls(tls)

    def fail(self, error: WireError) -> None:
        """Raise an error from `receive` after everything before it has been received."""
        self._error = error
        self._wake()

    async def receive(self) -> list[bytes]:
        """Return the pieces that have arrived; an empty list at the end.

        Raises:
            WireError: The answer ended early.
        """
        while not self._pieces:
            if self._error is not None:
                raise self._error.anew()
            if self._has_ended:
                return []
            self._receiver = asyncio.get_running_loop().create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
        pieces, self._pieces = self._pieces, []
        self._size = 0
        if self._is_held:
            self._is_held = False
            self._transport.resume_reading()
        return pieces

    def _wake(self) -> None:
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)
