"""What lies under a connection on trio, a socket or TLS over it: written to, read and looked at."""

import ssl

import anyio
import trio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute

from asyncinvoke._transport.http.connection import SLICE, look_at

LOST = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    trio.ClosedResourceError,
    ssl.SSLError,
    OSError,
)
"""What is raised when the connection is gone."""

_PIECE = 65_536


class TrioStream:
    """Hands requests to the kernel, knows what it has, and reads what has arrived.

    A plain socket is written to and read from by ourselves: without waiting as far as the kernel
    takes a request, so that each byte is accounted for, and with one wait for an answer. Under TLS
    anyio's stream does it. Its `send` returns when its socket has taken the last byte of the last
    record, and is not cancelled in that moment; so one that raises has left something behind. Both
    are exact, but that under TLS nobody can tell nothing from some.
    """

    def __init__(self, stream: ByteStream) -> None:
        """Take over a stream over a socket, or a TLS stream over that."""
        self._stream = stream
        self._socket = stream.extra(SocketAttribute.raw_socket)
        self.tls: ssl.SSLObject | None = stream.extra(TLSAttribute.ssl_object, None)
        """What TLS has agreed upon; `None` for a plain socket."""
        self._is_readable = look_at(self._socket.fileno())
        self.taken = 0
        """How many bytes the kernel took that it did not take at once."""

    def is_quiet(self) -> bool:
        """Look whether nothing has arrived: no end, and nothing that nobody asked for."""
        if self._is_readable():
            return False
        if self.tls is None:
            return True
        try:
            self.tls.read(1)  # what came with the last answer waits in this process
        except ssl.SSLWantReadError:
            return True
        except (ssl.SSLError, OSError):
            pass
        return False

    def begin(self, head: bytes, body: bytes) -> list[memoryview] | None:
        """Hand over what the kernel takes at once.

        Returns:
            What is left; `None` if the connection is gone and nothing was taken.
        """
        if len(body) <= SLICE:
            left = [memoryview(head + body)]
        else:
            view = memoryview(body)
            left = [memoryview(b"".join((head, view[:SLICE]))), view[SLICE:]]
        if self.tls is None:
            try:
                sent = self._socket.send(left[0])
            except BlockingIOError:
                sent = 0
            except OSError:
                return None
            left[0] = left[0][sent:]
            if not left[0]:
                del left[0]
        if left:
            self._scope = trio.CancelScope()  # here, as it may be stopped before `write` has begun
        return left

    async def write(self, left: list[memoryview]) -> bool:
        """Write what `begin` has left, and return whether the kernel has it all.

        Where that fails, whoever reads finds out why.
        """
        with self._scope:
            try:
                for view in left:
                    rest = view
                    while rest:
                        sent = await self._write_some(rest[:SLICE])
                        self.taken += sent
                        rest = rest[sent:]
            except LOST:
                return False
            return True
        return False

    def stop(self) -> None:
        """Hand over no more of this request: its answer is there already."""
        self._scope.cancel()

    async def receive(self) -> bytes:
        """Wait for what arrives next, and return it; nothing at the end.

        Raises one of `LOST`.
        """
        if self.tls is not None:
            try:
                return await self._stream.receive(_PIECE)
            except anyio.EndOfStream:
                return b""
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(_PIECE)
            except BlockingIOError:
                pass

    def close(self) -> None:
        """Close the socket; whoever waits for it finds it lost."""
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()

    async def _write_some(self, data: memoryview) -> int:
        if self.tls is not None:
            await self._stream.send(data)  # type: ignore[arg-type]  # any buffer will do
            return len(data)
        await trio.lowlevel.checkpoint()  # the reader comes first: there may be an answer
        while True:
            try:
                return self._socket.send(data)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
