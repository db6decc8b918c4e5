"""What arrived whole before a TLS record that ends the connection is read."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.errors import WireError
from tests.transport.http.conftest import Network, request
from tests.transport.http.peers import OK, Peer, Wire

pytestmark = pytest.mark.anyio

ENDS = {
    "damaged": b"\x17\x03\x03\x00\x40" + bytes(64),
    "no TLS": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}
"""What follows the answer, past TLS."""


@pytest.fixture(params=["asyncio", "trio"])  # uvloop's TLS layer drops what it has decrypted
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


@pytest.fixture
def network(certificate: tuple[Path, Path]) -> Iterator[Network]:
    network = Network("https", certificate)
    yield network
    network.close()


def peer_of(network: Network, answer: list[bytes], end: bytes) -> Peer:
    """Make a peer that sends an answer, each piece as one record, and directly behind it the end."""

    def script(wire: Wire) -> None:
        wire.request()
        wire.peer.released.wait(60)
        for record in answer:
            wire.send(record)
        socket.socket.sendall(wire.socket, end)
        wire.peer.ended.set()
        wire.wait_end()

    return network.peer(script)


async def stand_still(peer: Peer, progress: Progress) -> None:
    """Let the loop stand still from when the request was written until all has arrived."""
    while progress.phase is not Phase.WRITTEN:
        await anyio.sleep(0.001)
    peer.released.set()
    assert peer.ended.wait(60)
    time.sleep(0.005)  # until it has crossed the loopback


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("answer", [[OK], [OK[:20], OK[20:30], OK[30:]]], ids=["one", "several"])
async def test_an_answer_before_a_record_that_ends_the_connection_is_given(
    network: Network, answer: list[bytes], end: bytes
) -> None:
    peer, progress = peer_of(network, answer, end), Progress()
    async with network.connections(peer) as connections, anyio.create_task_group() as tasks:
        tasks.start_soon(stand_still, peer, progress)
        given = await connections.exchange(*request(), progress)
        assert (given.status, given.body) == (200, b"hi")
        assert progress.phase is Phase.BODY_READ
        assert not any(each.is_quiet() for each in connections._idle)  # so it is not used again


async def test_of_an_answer_that_such_a_record_cuts_off_the_head_is_known(network: Network) -> None:
    peer, progress = peer_of(network, [OK[:-1]], ENDS["damaged"]), Progress()
    async with network.connections(peer) as connections, anyio.create_task_group() as tasks:
        tasks.start_soon(stand_still, peer, progress)
        with pytest.raises(WireError) as caught:
            await connections.exchange(*request(), progress)
    assert caught.value.fault is TransportFault.TRUNCATED
    assert caught.value.begun is not None
    assert caught.value.begun.status == 200


async def test_a_stream_gives_what_came_before_such_a_record(network: Network) -> None:
    peer, progress = peer_of(network, [OK[:-1]], ENDS["damaged"]), Progress()
    async with network.connections(peer) as connections, anyio.create_task_group() as tasks:
        tasks.start_soon(stand_still, peer, progress)
        stream = await connections.stream(*request(), progress)
        assert await stream.receive() == [b"h"]
        with pytest.raises(WireError) as caught:
            await stream.receive()
        await stream.aclose()
    assert caught.value.fault is TransportFault.TRUNCATED
