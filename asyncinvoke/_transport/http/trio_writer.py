"""Hands a request to the kernel on trio, and knows whether it has all of it."""

import ssl
from collections.abc import Callable

import anyio
import trio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute

from asyncinvoke._transport.http.connection import SLICE

LOST = (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError, OSError)
"""What a stream raises when its connection is gone."""


class TrioWriter:
    """Writes one request after another.

    A plain socket is written to by ourselves, without waiting as far as the kernel takes it, so
    that each byte is accounted for. Under TLS the stream's `send` returns when its socket has taken
    the last byte of the last record, and in that moment is not cancelled; so a `send` that raises
    has left something behind. Both are exact, but that under TLS nobody can tell nothing from some.
    """

    def __init__(self, stream: ByteStream) -> None:
        """Write to a stream over a socket, or to a TLS stream over that."""
        self._stream = stream
        self._socket = stream.extra(SocketAttribute.raw_socket)
        self._is_tls = stream.extra(TLSAttribute.ssl_object, None) is not None

    def begin(self, head: bytes, body: bytes) -> list[memoryview] | None:
        """Hand over what the kernel takes at once.

        Returns:
            What is left; `None` if the connection is gone and nothing was taken.
        """
        self._scope = trio.CancelScope()  # which may be stopped before `write` has begun
        if len(body) <= SLICE:
            left = [memoryview(head + body)]
        else:
            view = memoryview(body)
            left = [memoryview(b"".join((head, view[:SLICE]))), view[SLICE:]]
        if self._is_tls:
            return left
        try:
            sent = self._socket.send(left[0])
        except BlockingIOError:
            return left
        except OSError:
            return None
        if sent == len(left[0]):
            return left[1:]
        left[0] = left[0][sent:]
        return left

    async def write(self, left: list[memoryview], moved: Callable[[], None]) -> bool:
        """Write what is left, and return whether the kernel has it all.

        Where that fails, whoever reads finds out why.

        Args:
            left: From `begin`.
            moved: Called whenever something was taken.
        """
        with self._scope:
            try:
                for view in left:
                    rest = view
                    while rest:
                        rest = rest[await self._write_some(rest[:SLICE]) :]
                        moved()
            except LOST:
                return False
            return True
        return False

    def stop(self) -> None:
        """Hand over no more of this request: its answer is there already."""
        self._scope.cancel()

    async def _write_some(self, data: memoryview) -> int:
        if self._is_tls:
            await self._stream.send(data)  # type: ignore[arg-type]  # any buffer will do
            return len(data)
        await trio.lowlevel.checkpoint()  # the reader comes first: there may be an answer
        while True:
            try:
                return self._socket.send(data)
            except BlockingIOError:
                await anyio.wait_writable(self._socket)
