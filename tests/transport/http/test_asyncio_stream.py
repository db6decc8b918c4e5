"""A request on its way out of an asyncio transport, at the moments that are hard to meet."""

import asyncio
import contextlib
import socket
from typing import Any, ClassVar

import pytest

from asyncinvoke._model.delivery import Phase
from asyncinvoke._transport.http.asyncio_stream import Incoming, RequestWriter
from asyncinvoke._transport.http.connection import SLICE

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Forwarding(asyncio.Protocol):
    """Tells the writer what the transport tells."""

    writer: RequestWriter

    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def pause_writing(self) -> None:
        self.writer.pause()

    def resume_writing(self) -> None:
        self.writer.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


async def test_a_peer_that_goes_as_the_next_slice_leaves_breaks_nothing_in_the_event_loop() -> None:
    # A write that fails within `resume_writing` has asyncio tell twice of the end.
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    loop = asyncio.get_running_loop()
    broken: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: broken.append(context))
    transport, protocol = await loop.create_connection(Forwarding, sock=ours)

    def goes() -> bool:
        theirs.close()
        return False

    protocol.writer = RequestWriter(transport, goes)
    try:
        assert protocol.writer.write(b"head", bytes(3 * SLICE)) is Phase.WRITTEN_IN_PART
        while theirs.fileno() >= 0:
            with contextlib.suppress(BlockingIOError):
                theirs.recv(65_536)
            await asyncio.sleep(0)
        await asyncio.wait_for(protocol.lost, 60)
        await asyncio.sleep(0)
        assert broken == []
        assert protocol.writer.phase is Phase.WRITTEN_IN_PART
    finally:
        theirs.close()
        transport.abort()


class Noting(socket.socket):
    """Notes how much is asked of it at once."""

    asked: ClassVar[list[int]] = []

    def recv(self, size: int, flags: int = 0) -> bytes:
        self.asked.append(size)
        return super().recv(size, flags)


async def test_a_stream_is_read_in_pieces_larger_than_asyncio_reads_by_default() -> None:
    ours, theirs = socket.socketpair()
    noting = Noting(fileno=ours.detach())
    noting.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(Forwarding, sock=noting)
    try:
        Incoming(transport)
        theirs.close()
        await asyncio.wait_for(protocol.lost, 60)
        assert noting.asked == [524_288]
    finally:
        theirs.close()
        transport.abort()
