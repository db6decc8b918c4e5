"""Streamed answers: pieces as they arrive, back-pressure, and every kind of end."""

import contextlib
import socket
import ssl
import threading

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.errors import WireError
from asyncinvoke._transport.http.streamed_answer import StreamedAnswer
from tests.transport.http.conftest import Clock, Network, RecordingProgress, request
from tests.transport.http.peers import OK, Wire

pytestmark = pytest.mark.anyio
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-A: b\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"


async def rest_of(stream: StreamedAnswer) -> bytes:
    pieces: list[bytes] = []
    while come := await stream.receive():
        pieces += come
    return b"".join(pieces)


FRAMINGS = {
    "length": ([HEAD % 9, b"one", b"two", b"six"], True),
    "chunked": ([CHUNKED, b"3\r\none\r\n", b"6\r\ntwo", b"six\r\n", b"0\r\nT: x\r\n\r\n"], True),
    "until close": ([b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n", b"one", b"two", b"six"], False),
    "at once": ([HEAD % 9 + b"onetwosix"], True),
    "with more behind": ([HEAD % 9 + b"onetwosix", b"!"], False),
}


@pytest.mark.parametrize(("steps", "kept"), FRAMINGS.values(), ids=FRAMINGS)
async def test_pieces_come_as_they_are_sent_and_the_connection_is_given_back(
    network: Network, steps: list[bytes], kept: bool
) -> None:
    go = threading.Semaphore(0)

    def script(wire: Wire) -> None:
        if wire.number == 1:
            wire.request()
            for step in steps:
                go.acquire(timeout=10)
                wire.send(step)
            if not kept:
                wire.send_close_notify()
                return
        wire.request()
        wire.send(OK)

    peer = network.peer(script)
    async with network.connections(peer) as connections:
        progress = RecordingProgress()
        go.release()
        stream = await connections.stream(*request(), progress)
        assert stream.status == 200
        assert stream.headers["x-a"] == "b"
        received = b""
        for _ in steps:
            go.release()
        while pieces := await stream.receive():
            received += b"".join(pieces)
        assert received == b"onetwosix"
        assert await stream.receive() == []
        assert progress.phase is Phase.BODY_READ
        assert connections.idle == 0
        await anyio.sleep(0.01)
        await stream.finish()
        await stream.aclose()
        assert (await connections.exchange(*request(), Progress())).body == b"hi"
    assert peer.connections == (1 if kept else 2)


async def test_a_piece_is_there_before_the_next_is_sent(network: Network) -> None:
    go = threading.Semaphore(0)

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(HEAD % 4)
        for number in range(4):
            go.acquire(timeout=10)
            wire.send(b"%d" % number)

    peer = network.peer(script)
    async with network.connections(peer) as connections:
        progress = Progress()
        stream = await connections.stream(*request(), progress)
        assert progress.phase is Phase.HEAD_READ
        for number in range(4):
            go.release()
            assert await stream.receive() == [b"%d" % number]
        await stream.finish()


async def test_a_slow_reader_slows_the_sender_and_loses_nothing(network: Network) -> None:
    body = bytes(range(256)) * 80_000
    sent = [0]

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(HEAD % len(body))
        for at in range(0, len(body), 65_536):
            wire.send(body[at : at + 65_536])
            sent[0] = at
        wire.wait_end()  # uvloop's TLS loses received data if its reader is slow

    peer = network.peer(script)
    async with network.connections(peer) as connections:
        stream = await connections.stream(*request(), Progress())
        before = -1
        while sent[0] != before:  # until the sender cannot go on
            before = sent[0]
            await anyio.sleep(0.05)
        assert before < len(body) * 3 // 4
        assert await rest_of(stream) == body
        await stream.finish()
        assert connections.idle == 1


ENDS = {
    "cut": (HEAD % 20 + b"half", TransportFault.TRUNCATED),
    "cut in a chunk": (CHUNKED + b"9\r\nhalf", TransportFault.TRUNCATED),
    "a bad chunk": (CHUNKED + b"4\r\nhalf\r\nx\r\n", TransportFault.PROTOCOL),
}


@pytest.mark.parametrize(("data", "fault"), ENDS.values(), ids=ENDS)
async def test_an_early_end_is_raised_after_everything_that_had_arrived(
    network: Network, data: bytes, fault: TransportFault
) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(data)

    peer = network.peer(script)
    async with network.connections(peer) as connections:
        progress = Progress()
        stream = await connections.stream(*request(), progress)
        await anyio.sleep(0.01)
        assert await stream.receive() == [b"half"]
        with pytest.raises(WireError) as raised:
            await stream.receive()
        assert raised.value.fault is fault
        assert raised.value.phase is progress.phase is Phase.HEAD_READ
        await stream.aclose()
        assert connections.idle == 0


MUCH = b"m" * 600_000
"""So much data that reading is paused if it is not consumed."""
REST = b"r" * 150_000


@pytest.mark.parametrize("framing", ["length", "until close"])
async def test_what_had_arrived_when_the_peer_ended_is_given_to_a_reader_who_comes_late(
    network: Network, framing: str
) -> None:
    go = threading.Event()

    def script(wire: Wire) -> None:
        wire.request()
        head = HEAD % len(MUCH + REST) if framing == "length" else b"HTTP/1.1 200 OK\r\n\r\n"
        wire.send(head + MUCH)
        go.wait(10)
        wire.send(REST)
        if framing == "until close" and isinstance(wire.socket, ssl.SSLSocket):
            # close_notify without waiting for that of the client, as servers do.
            wire.socket.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):
                wire.socket.unwrap()
        socket.socket.shutdown(wire.socket, socket.SHUT_WR)
        wire.peer.ended.set()
        wire.peer.released.wait(10)

    peer = network.peer(script)
    async with network.connections(peer) as connections:
        stream = await connections.stream(*request(), Progress())
        for _ in range(50):  # until reading is paused, and then until the end has come
            await anyio.sleep(0.001)
        go.set()
        await to_thread.run_sync(peer.ended.wait, 10)
        for _ in range(50):
            await anyio.sleep(0.001)
        assert await rest_of(stream) == MUCH + REST
        await stream.finish()
        peer.released.set()


async def test_an_answer_that_has_no_head_is_an_error_of_the_call(network: Network) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(HEAD[:20])

    peer = network.peer(script)
    async with network.connections(peer) as connections:
        with pytest.raises(WireError) as raised:
            await connections.stream(*request(), Progress())
        assert raised.value.fault is TransportFault.CONNECTION_LOST
        assert raised.value.phase is Phase.WRITTEN


def stalls(wire: Wire) -> None:
    wire.request()
    wire.send(HEAD % 20 + b"half")
    wire.wait_end()


@pytest.mark.parametrize("scheme", ["http"])  # TLS changes no times
async def test_silence_and_the_deadline_end_a_stream(network: Network, clock: Clock) -> None:
    peer = network.peer(stalls)
    for read_timeout, seconds, fault in (
        (60.0, 600.0, TransportFault.READ_TIMEOUT),
        (600.0, 60.0, TransportFault.INTERRUPTED),
    ):
        async with network.connections(peer, read_timeout=read_timeout) as connections:
            progress = Progress(clock.monotonic() + seconds)
            stream = await connections.stream(*request(), progress)
            assert await stream.receive() == [b"half"]
            async with anyio.create_task_group() as group:
                group.start_soon(clock.jump, connections, progress, (Phase.HEAD_READ,), 61)
                with pytest.raises(WireError) as raised:
                    await stream.receive()
            assert raised.value.fault is fault
            assert raised.value.phase is Phase.HEAD_READ
            await stream.aclose()


@pytest.mark.parametrize("scheme", ["http"])  # TLS changes no times
async def test_a_slow_reader_does_not_count_as_silence(network: Network, clock: Clock) -> None:
    go = threading.Event()

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(HEAD % 8 + b"half")
        go.wait(10)
        wire.send(b"more")

    peer = network.peer(script)
    async with network.connections(peer, read_timeout=60) as connections:
        stream = await connections.stream(*request(), Progress())
        assert await stream.receive() == [b"half"]
        for _ in range(3):
            clock.pass_by(connections, 61)  # and no one waits for more
        go.set()
        assert await stream.receive() == [b"more"]
        await stream.finish()


async def test_a_cancelled_receive_loses_nothing(network: Network) -> None:
    go = threading.Event()

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(HEAD % 8 + b"half")
        go.wait(10)
        wire.send(b"more")
        wire.wait_end()

    peer = network.peer(script)
    async with network.connections(peer) as connections:
        stream = await connections.stream(*request(), Progress())
        assert await stream.receive() == [b"half"]
        with anyio.move_on_after(0.02) as scope:
            await stream.receive()
        assert scope.cancelled_caught
        go.set()
        assert await rest_of(stream) == b"more"
        await stream.finish()
        assert connections.idle == 1


async def test_leaving_a_stream_early_closes_its_connection(network: Network) -> None:
    ended = threading.Event()

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(HEAD % 20 + b"half")
        wire.wait_end()
        ended.set()

    peer = network.peer(script)
    async with network.connections(peer) as connections:
        for leave in (StreamedAnswer.aclose, StreamedAnswer.finish):
            ended.clear()
            stream = await connections.stream(*request(), Progress())
            await leave(stream)
            await leave(stream)
            assert await to_thread.run_sync(ended.wait, 10)
            assert connections.idle == 0
            assert await stream.receive() == []


async def test_closing_the_connections_ends_a_stream(network: Network) -> None:
    peer = network.peer(stalls)
    async with network.connections(peer) as connections:
        stream = await connections.stream(*request(), Progress())
        await connections.aclose()
        assert await stream.receive() == [b"half"]
        with pytest.raises(WireError) as raised:
            await stream.receive()
        assert raised.value.fault is TransportFault.CLOSED
        assert raised.value.phase is Phase.HEAD_READ
        await stream.aclose()


async def test_a_reader_that_waits_for_a_piece_gets_an_error_when_connections_close(
    network: Network,
) -> None:
    peer = network.peer(stalls)
    faults: list[TransportFault] = []

    async def receive() -> None:
        with pytest.raises(WireError) as raised:
            await stream.receive()
        faults.append(raised.value.fault)

    async with network.connections(peer) as connections:
        stream = await connections.stream(*request(), Progress())
        assert await stream.receive() == [b"half"]
        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            await connections.aclose()
        await stream.aclose()
    assert faults == [TransportFault.CLOSED]
