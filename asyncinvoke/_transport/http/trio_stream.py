"""The byte stream under a connection on trio: a socket, or TLS over one."""

import socket
import ssl

import trio

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.connection import (
    CONNECTED,
    SLICE,
    WRITTEN,
    WRITTEN_IN_PART,
    look_at,
)
from asyncinvoke._transport.http.errors import TOO_EARLY, ended

LOST = (trio.ClosedResourceError, OSError)
"""The exceptions raised for a lost connection; TLS errors are `OSError`s too."""

_PIECE = 65_536
_LARGE_PIECE = 524_288
"""The read size: most answers are short, and for long ones each wake-up is costly."""

_MOST_READS = 8
"""How often a new TLS connection is read before its first use; tickets take one or two."""

_RECORD = 16_384
"""The maximum size of a TLS record; each read returns one."""


class TrioStream:
    """Writes requests with exact accounting of the bytes the kernel accepts, and reads data.

    A request is written without blocking as far as the kernel accepts it, which is usually all of
    it; the rest is kept for `write_rest`. No `send` is awaited, so none can be cancelled.
    """

    def __init__(self, connected: socket.socket) -> None:
        """Take over a connected non-blocking socket."""
        self._socket = connected
        self._is_readable = look_at(connected.fileno())
        self._left = memoryview(b"")  # as sent to the kernel
        self._rest = memoryview(b"")  # not yet encoded
        self._piece = _PIECE
        self.taken = 0
        """The number of bytes the kernel has accepted so far."""
        self.size = 0
        """The size of the last request's body, in bytes."""
        self.is_told = True
        """Whether an EOF, if received, was signalled by the peer (with TLS, by close_notify)."""
        self.tls: ssl.SSLObject | None = None
        """The TLS object; `None` for a plain socket."""

    def is_quiet(self) -> bool:
        """Return whether nothing has arrived: no EOF and no unsolicited data."""
        return not self._is_readable()

    def write(self, head: bytes, body: bytes) -> Phase:
        """Write a request as far as the kernel accepts it at once, and return the phase reached.

        `CONNECTED` means that the kernel has accepted none of it and never will.
        """
        self.size = len(body)
        if self.size <= SLICE:
            first = head + body
        else:
            view = memoryview(body)
            first, self._rest = b"".join((head, view[:SLICE])), view[SLICE:]
        try:
            left = memoryview(self.encode(first))
            sent = self._send(left)
        except OSError:
            return CONNECTED
        if sent == len(left) and not self._rest:
            return WRITTEN
        self._left = left[sent:]
        self._writing = trio.CancelScope()  # created now, as `stop` may come before `write_rest`
        return WRITTEN_IN_PART

    async def write_rest(self) -> bool:
        """Write the rest, and return whether the kernel has accepted all of it.

        If writing fails, the reading side finds the reason.
        """
        with self._writing:
            try:
                while self._left or self._rest:
                    await trio.lowlevel.checkpoint()  # let the reader run: there may be an answer
                    if not self._left:
                        self._left = memoryview(self.encode(self._rest[:SLICE]))
                        self._rest = self._rest[SLICE:]
                    sent = self._send(self._left)
                    self._left = self._left[sent:]
                    if not sent:
                        await trio.lowlevel.wait_writable(self._socket)
            except LOST:
                return False
            return True
        return False

    def _send(self, data: memoryview) -> int:
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            return 0
        self.taken += sent
        return sent

    def stop(self) -> None:
        """Write no more of this request: its answer has already arrived."""
        self._writing.cancel()

    async def receive(self) -> bytes:
        """Wait for data and return it; empty at EOF.

        Raises one of `LOST`.
        """
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                data = self._socket.recv(self._piece)
            except BlockingIOError:
                continue
            self._piece = _LARGE_PIECE if len(data) >= _PIECE else _PIECE
            return data

    def close(self) -> None:
        """Close the socket; waiting tasks see a lost connection."""
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()

    def encode(self, data: bytes | memoryview) -> bytes | memoryview:
        """Return the bytes to send for it."""
        return data


class TlsStream(TrioStream):
    """A `TrioStream` with TLS, using Python's `ssl` with memory BIOs.

    anyio's TLS stream is more general, but it awaits each write, wakes up twice per answer, and its
    state cannot be inspected; it would take as long as the rest of an exchange together.
    """

    def __init__(
        self,
        connected: socket.socket,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
    ) -> None:
        """Take over a connected socket after the handshake."""
        super().__init__(connected)
        self.tls = self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._has_ended = False
        self._error: ssl.SSLError | None = None  # of a bad record after a good one

    def is_quiet(self) -> bool:
        """Return whether nothing has arrived, including with the last answer."""
        if self._has_ended or self._error is not None:
            return False
        waits = self._incoming.pending or self._tls.pending()
        return not waits and super().is_quiet()

    def check_new(self) -> None:
        """Check that the peer of a new connection is still there and has sent no data.

        In TLS 1.3 session tickets follow the handshake, so a new connection is seldom quiet. Behind
        them there may be the peer's end, if the event loop was busy: the kernel would accept a
        request, but nobody would read it.

        Raises:
            WireError: It is not, or has. Nothing was sent.
        """
        cause: OSError | None = None
        try:
            for _ in range(_MOST_READS):
                if super().is_quiet():
                    return
                arrived = self._socket.recv(_PIECE)
                self._incoming.write(arrived)
                if not arrived or self._decode() or self._has_ended:
                    break
        except OSError as error:
            cause = error
        try:
            raise ended(TransportFault.CONNECT, Phase.CONNECTING, TOO_EARLY, cause)
        finally:
            del cause  # else it and this frame form a reference cycle

    def encode(self, data: bytes | memoryview) -> bytes | memoryview:
        """Return the bytes to send for it: TLS records, and any pending TLS messages."""
        self._tls.write(data)
        return self._outgoing.read()

    async def receive(self) -> bytes:
        """Wait for data and return it; empty at EOF, with or without close_notify.

        Raises one of `LOST`.
        """
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error  # else it and this frame form a reference cycle
        while not self._has_ended:
            data = self._decode()
            if data:
                return data
            if not self._has_ended:
                arrived = await super().receive()
                if arrived:
                    self._incoming.write(arrived)
                else:
                    self._has_ended = True
                    self.is_told = False
        return b""

    def _decode(self) -> bytes:
        pieces: list[bytes] = []
        while self._incoming.pending or self._tls.pending():
            try:
                piece = self._tls.read(_RECORD)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                if not pieces:
                    raise
                self._error = error.with_traceback(None)
                break
            if not piece:
                self._has_ended = True
                break
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
