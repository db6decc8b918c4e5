"""The byte stream under a connection on trio: a socket, or TLS over one."""

import socket
import ssl

import trio

from asyncinvoke._model.delivery import Phase
from asyncinvoke._transport.http.connection import (
    CONNECTED,
    SLICE,
    WRITTEN,
    WRITTEN_IN_PART,
    look_at,
)

LOST = (trio.ClosedResourceError, OSError)
"""What is raised when the connection is gone; TLS's errors are the system's too."""

_PIECE = 65_536
_LARGE_PIECE = 262_144
"""How much is read at once: an answer is mostly short, and of a long one each wake-up has its price."""

_RECORD = 16_384
"""The longest record of TLS, of which a read gives one."""


class TrioStream:
    """Hands requests to the kernel byte by byte accounted for, and reads what has arrived.

    A request is written without waiting as far as the kernel takes it, which mostly is all of it;
    what is left is kept here for `write_rest`. No `send` is awaited, and so none is cancelled.
    """

    def __init__(self, connected: socket.socket) -> None:
        """Take over a connected socket that does not block."""
        self._socket = connected
        self._is_readable = look_at(connected.fileno())
        self._left = memoryview(b"")  # as the kernel gets it
        self._rest = memoryview(b"")  # as it is
        self._piece = _PIECE
        self.taken = 0
        """How many bytes the kernel has taken so far."""
        self.size = 0
        """How many bytes the body of the last request has."""
        self.is_told = True
        """Whether the peer's end, if it has come, is one that it has said."""
        self.tls: ssl.SSLObject | None = None
        """What TLS has agreed upon; `None` for a plain socket."""

    def is_quiet(self) -> bool:
        """Look whether nothing has arrived: no end, and nothing that nobody asked for."""
        return not self._is_readable()

    def write(self, head: bytes, body: bytes) -> Phase:
        """Write a request as far as the kernel takes it at once, and return how far that is.

        `CONNECTED` means that the kernel has nothing of it, and never will.
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
        self._writing = trio.CancelScope()  # now, as it may be stopped before `write_rest` begins
        return WRITTEN_IN_PART

    async def write_rest(self) -> bool:
        """Write what is left, and return whether the kernel has it all.

        Where that fails, whoever reads finds out why.
        """
        with self._writing:
            try:
                while self._left or self._rest:
                    await trio.lowlevel.checkpoint()  # who reads comes first: it may be answered
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
        """Hand over no more of this request: its answer is there already."""
        self._writing.cancel()

    async def receive(self) -> bytes:
        """Wait for what arrives next, and return it; nothing at the end.

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
        """Close the socket; whoever waits for it finds it lost."""
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()

    def encode(self, data: bytes | memoryview) -> bytes | memoryview:
        """Return what the kernel gets for it."""
        return data


class TlsStream(TrioStream):
    """The same with TLS over it, by Python's `ssl` in memory.

    anyio's TLS stream does the same for everybody, but awaits each write, wakes twice for each
    answer, and cannot be looked at; that takes as long as all the rest of an exchange.
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
        self._error: ssl.SSLError | None = None  # of a record behind one that was good

    def is_quiet(self) -> bool:
        """Look whether nothing has arrived, not with the last answer either."""
        if self._has_ended or self._error is not None:
            return False
        waits = self._incoming.pending or self._tls.pending()
        return not waits and super().is_quiet()

    def encode(self, data: bytes | memoryview) -> bytes | memoryview:
        """Return what the kernel gets for it: records, and whatever TLS wanted to say besides."""
        self._tls.write(data)
        return self._outgoing.read()

    async def receive(self) -> bytes:
        """Wait for what arrives next, and return it; nothing at the end, with farewell or without.

        Raises one of `LOST`.
        """
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error  # or it and this frame would keep each other alive
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
