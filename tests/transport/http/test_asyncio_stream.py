"""Writing a request to an asyncio transport, at moments that are hard to reproduce."""

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
    """A protocol that forwards the transport's callbacks to the writer."""

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
    # If a write fails within `resume_writing`, asyncio reports the end twice.
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


class RecordingSocket(socket.socket):
    """A socket that records the sizes of reads."""

    asked: ClassVar[list[int]] = []

    def recv(self, size: int, flags: int = 0) -> bytes:
        self.asked.append(size)
        return super().recv(size, flags)


async def test_a_stream_is_read_in_pieces_larger_than_asyncio_reads_by_default() -> None:
    ours, theirs = socket.socketpair()
    noting = RecordingSocket(fileno=ours.detach())
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
