"""Between a connection and its asyncio transport: writing the request, reading a streamed body."""

import asyncio
from collections.abc import Callable
from typing import Any

from asyncinvoke._model.delivery import Phase
from asyncinvoke._transport.http.connection import CONNECTED, SLICE, WRITTEN, WRITTEN_IN_PART
from asyncinvoke._transport.http.errors import WireError
from asyncinvoke._transport.http.reader import AnswerReader


class RequestWriter:
    """Writes one request after another.

    A transport keeps what the kernel does not take at once, and empties that buffer before it tells
    of its end. So the buffer's size says nothing afterwards; but the transport's own flow control
    does. With limits that speak up at the first byte, `pause_writing` means that bytes wait in this
    process and `resume_writing` that none do. Both are called from within `write` where it comes to
    that, and when the connection dies the mark stays.

    - asyncio and uvloop, plain: exact. After a first `write` that leaves the transport closing, the
      kernel has nothing.
    - asyncio, TLS: the mark tells of what is not encrypted yet. What is waits in the transport
      beneath, whose mark is read from the TLS layer by a private name; exact where that is found.
    - uvloop, TLS, and TLS within TLS: what is beneath cannot be seen. What the TLS layer has taken
      counts as handed over, which is the safe side.
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
        """Take over the flow control of a transport."""
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._layer, self._carrier = _beneath(transport)
        self._is_readable = is_readable
        self._paused = False
        self._stopped = False
        self._rest: memoryview | None = None
        self.size = 0
        """How many bytes the body of the last request has."""
        # Under TLS, a limit of 0 pauses at 0 bytes and then resumes never.
        transport.set_write_buffer_limits(1 if _is_tls(transport) else 0)

    def write(self, head: bytes, body: bytes) -> Phase:
        """Write a request, a large body slice by slice, and return how far that came.

        `CONNECTED` means that the kernel has nothing of it, and never will.
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
        if self._rest is not None:
            self._continue()
        return self.phase

    @property
    def phase(self) -> Phase:
        """`WRITTEN` if the kernel has the whole request, else `WRITTEN_IN_PART`."""
        if self._rest is not None or self._paused:
            return WRITTEN_IN_PART
        if self._layer is not None and self._layer._ssl_writing_paused:  # noqa: SLF001  # see above
            return WRITTEN_IN_PART
        return WRITTEN

    @property
    def waiting(self) -> int:
        """How many bytes wait in this process, for the comparison with another moment."""
        size = 0 if self._rest is None else len(self._rest)
        if self._carrier is not self._transport:
            size += self._carrier.get_write_buffer_size()
        return size + self._transport.get_write_buffer_size()

    def stop(self) -> None:
        """Hand over no more, ever: the answer is there before the request was written."""
        self._stopped = True

    def pause(self) -> None:
        """For `pause_writing`."""
        self._paused = True

    def resume(self) -> None:
        """For `resume_writing`."""
        self._paused = False
        if self._rest is not None:
            # From the loop: asyncio tells twice of the end of a transport that is written to within
            # this call, if that fails, and the second time breaks.
            self._loop.call_soon(self._continue)

    def _continue(self) -> None:
        while self._rest is not None and not self._paused and not self._stopped:
            if self._transport.is_closing():
                return
            if self._is_readable():
                # An early answer is read before its sender, who may be gone, is written to again.
                self._loop.call_soon(self._continue)
                return
            rest = self._rest
            self._transport.write(rest[:SLICE])
            if self._carrier.is_closing():
                return  # nothing of this slice was taken, and what is left stays left
            self._rest = rest[SLICE:] if len(rest) > SLICE else None


def _is_tls(transport: Any) -> bool:
    return transport.get_extra_info("ssl_object") is not None


def _beneath(transport: Any) -> tuple[Any, Any]:
    """Return asyncio's TLS layer, if it is one and lies on TCP, and the transport that writes."""
    layer = getattr(transport, "_ssl_protocol", None)
    inner = getattr(layer, "_transport", None)
    if inner is None or _is_tls(inner) or not hasattr(layer, "_ssl_writing_paused"):
        return None, transport
    inner.set_write_buffer_limits(0)
    return layer, inner


_MOST = 262_144
"""From this many bytes on, none are read from the socket."""


class Incoming:
    """Keeps the pieces that have arrived, and holds the socket back when they are too many."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pieces: list[bytes] = []
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
        self._pieces += reader.pieces
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

    async def receive(self) -> list[bytes]:
        """Return the pieces that have arrived, or none at the end.

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
