"""The phase of an attempt is recorded in every variant, and determines what may have run."""

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from botocore.credentials import ReadOnlyCredentials

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply
from asyncinvoke._request.parameters import checked
from asyncinvoke._transport.http.errors import WireError
from asyncinvoke._transport.session import open_transport
from tests.doubles.waiting import LONGER, until
from tests.transport.http.conftest import request
from tests.transport.http.peers import OK, Peer, Script, Wire, answering
from tests.transport.variants import every_variant, open_client, open_variant

pytestmark = pytest.mark.anyio

PARAMETERS = checked("f")
LARGE = b'"' + b"x" * 6_000_000 + b'"'


def say_nothing(wire: Wire) -> None:
    wire.peer.released.wait(10)


def read_and_say_nothing(wire: Wire) -> None:
    wire.request()
    wire.peer.ended.set()
    wire.peer.released.wait(10)


def begin_an_answer(wire: Wire) -> None:
    wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    wire.peer.ended.set()
    wire.peer.released.wait(10)


def read_a_part_and_reset(wire: Wire) -> None:
    wire.receive(100_000)
    wire.reset()


def read_and_reset(wire: Wire) -> None:
    wire.request()
    wire.reset()


@contextlib.contextmanager
def full_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that connecting to it never completes."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]


async def send(
    transport: Any, payload: bytes = b"1", *, within: float = 60.0, progress: Progress | None = None
) -> Any:
    progress = progress or Progress(time.monotonic() + within)
    with anyio.fail_after(30):
        ended = await transport.send(PARAMETERS, payload, progress)
    if isinstance(ended, Failure):
        assert ended.phase is progress.phase or ended.phase < Phase.WRITTEN
    return ended


def fault_and_phase(ended: Any) -> tuple[TransportFault | None, Phase]:
    assert isinstance(ended, Failure), ended
    return ended.fault, ended.phase


@every_variant
async def test_a_deadline_finds_the_phase_in_which_it_passes(variant: str) -> None:
    interrupted = TransportFault.INTERRUPTED
    with full_port() as port, Peer(say_nothing) as silent, Peer(read_and_say_nothing) as reading:
        for url, phase in (
            (f"http://127.0.0.1:{port}", Phase.CONNECTING),
            (f"https://127.0.0.1:{silent.port}", Phase.CONNECTING),
            (f"http://127.0.0.1:{reading.port}", Phase.WRITTEN),
        ):
            async with open_variant(url, variant, verify=False) as transport:
                for within in LONGER:
                    found = fault_and_phase(await send(transport, within=within))
                    assert found[0] is interrupted
                    assert found[1] <= phase
                    if found[1] is phase:  # a busy machine needs time to get there
                        break
                assert found[1] is phase
        url = f"http://127.0.0.1:{reading.port}"
        async with open_variant(url, variant) as transport:
            assert fault_and_phase(await send(transport, within=-1))[1] < Phase.CONNECTED


@every_variant
async def test_a_cancellation_finds_the_phase_in_which_it_comes(variant: str) -> None:
    with Peer(read_and_say_nothing) as reading, full_port() as port:
        async with open_variant(f"http://127.0.0.1:{port}", variant) as transport:
            connecting = Progress()
            async with anyio.create_task_group() as group:
                group.start_soon(transport.send, PARAMETERS, b"1", connecting)
                await until(lambda: connecting.phase is Phase.CONNECTING)
                group.cancel_scope.cancel()
        async with open_variant(f"http://127.0.0.1:{reading.port}", variant) as transport:
            written = Progress()
            async with anyio.create_task_group() as group:
                group.start_soon(transport.send, PARAMETERS, b"1", written)
                while not reading.ended.is_set():
                    await anyio.sleep(0.001)
                group.cancel_scope.cancel()
    assert (connecting.phase, written.phase) == (Phase.CONNECTING, Phase.WRITTEN)


@every_variant
async def test_what_was_not_written_as_a_whole_was_not_sent(variant: str) -> None:
    with Peer(read_a_part_and_reset, receive_buffer=4096) as peer:
        async with open_variant(f"http://127.0.0.1:{peer.port}", variant) as transport:
            fault, phase = fault_and_phase(await send(transport, LARGE))
    assert phase is Phase.WRITTEN_IN_PART
    assert not phase.delivery.may_have_run
    assert fault is TransportFault.CUT_SHORT


@every_variant
async def test_what_was_written_as_a_whole_may_have_run(variant: str) -> None:
    with Peer(read_and_reset) as peer:
        async with open_variant(f"http://127.0.0.1:{peer.port}", variant) as transport:
            for payload in (b"", b"1"):
                fault, phase = fault_and_phase(await send(transport, payload))
                assert (fault, phase) == (TransportFault.CONNECTION_LOST, Phase.WRITTEN)


def close_after(count: int) -> Script:
    """Close a connection after a number of answers, without announcing it."""

    def script(wire: Wire) -> None:
        for _ in range(count):
            wire.request()
            wire.send(OK)

    return script


def speak_unasked(wire: Wire) -> None:
    wire.request()
    wire.send(OK)
    wire.peer.answered.wait(10)
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
    wire.peer.ended.set()
    wire.peer.released.wait(10)


@every_variant
async def test_a_connection_whose_end_has_arrived_is_not_used_again(variant: str) -> None:
    with Peer(close_after(2)) as peer:
        async with open_variant(f"http://127.0.0.1:{peer.port}", variant) as transport:
            for number in range(20):
                assert isinstance(await send(transport), Reply)
                if number % 2:
                    peer.wait_closed()  # the event loop is blocked, and does not notice it
        assert peer.connections == 10


@every_variant
async def test_an_unsolicited_answer_is_not_taken_for_another_call_s(variant: str) -> None:
    with Peer(speak_unasked) as peer:
        async with open_variant(f"http://127.0.0.1:{peer.port}", variant) as transport:
            for _ in range(2):
                answer = await send(transport)
                assert isinstance(answer, Reply)
                assert answer.payload == b"hi"
                peer.answered.set()
                assert peer.ended.wait(10)  # the event loop is blocked, and does not notice it
                peer.ended.clear()
                peer.answered.clear()


@every_variant
async def test_a_proxy_that_hangs_up_on_connect_has_let_nothing_through(variant: str) -> None:
    def hang_up(wire: Wire) -> None:
        wire.receive(7)

    with Peer(hang_up) as proxy:
        proxies = {"https": f"http://127.0.0.1:{proxy.port}"}
        url = "https://lambda.example"
        async with open_variant(url, variant, config={"proxies": proxies}) as transport:
            _, phase = fault_and_phase(await send(transport))
        assert phase <= Phase.CONNECTING
        assert proxy.connections == 1


@every_variant
@pytest.mark.parametrize(
    ("script", "phase"),
    [(read_and_say_nothing, Phase.WRITTEN), (begin_an_answer, Phase.HEAD_READ)],
)
async def test_calls_in_progress_when_the_transport_closes_report_their_phase(
    script: Script, phase: Phase, variant: str
) -> None:
    ended: list[Any] = []

    progress = Progress()

    async def call() -> None:
        ended.append(await send(transport, progress=progress))

    with Peer(script) as peer:
        async with open_variant(f"http://127.0.0.1:{peer.port}", variant) as transport:
            async with anyio.create_task_group() as group:
                group.start_soon(call)
                await until(lambda: peer.ended.is_set() and progress.phase is phase)
                await transport.aclose()
            assert fault_and_phase(ended[0]) == (TransportFault.CLOSED, phase)
            # From now on nothing is sent.
            assert fault_and_phase(await send(transport))[1] < Phase.WRITTEN
        assert peer.connections == 1


class Source:
    """Credentials that arrive when a test releases them."""

    method = "test"

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.come = anyio.Event()

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        self.asked.set()
        await self.come.wait()
        return ReadOnlyCredentials("AKID", "hidden", None)


@every_variant
@pytest.mark.parametrize("is_known", [False, True])
async def test_a_call_that_waits_for_credentials_sends_nothing_once_the_transport_closes(
    variant: str, is_known: bool
) -> None:
    ended: list[Any] = []

    async def call() -> None:
        ended.append(await send(transport))

    async def hold() -> None:
        # To another origin, whose connection takes a while to close.
        held = wires._connections(other_url)
        wires._routes[other_url] = held
        with pytest.raises(WireError):
            await held.exchange(*request(), Progress())

    with Peer(read_and_say_nothing) as other, Peer(answering(OK)) as peer:
        other_url = f"http://127.0.0.1:{other.port}"
        url = f"http://127.0.0.1:{peer.port}"
        async with open_client(url, variant) as client:
            source = client._request_signer._credentials = Source()
            transport: Any = await open_transport(
                client, "client" if variant == "client" else "direct"
            )
            wires = transport._wires
            if is_known:
                wires._routes[url] = None  # as for an origin that only the session reaches
            async with anyio.create_task_group() as group:
                group.start_soon(hold)
                while not other.ended.is_set():
                    await anyio.sleep(0.001)
                group.start_soon(call)
                await source.asked.wait()
                source.come.set()
                await transport.aclose()
        assert fault_and_phase(ended[0])[0] is TransportFault.CLOSED
        assert fault_and_phase(ended[0])[1] <= Phase.CONNECTING
        assert peer.connections == 0


@every_variant
async def test_one_connection_serves_calls_and_streams(variant: str) -> None:
    from asyncinvoke.local.protocol import event_stream

    frames = event_stream.payload_chunk(b"one") + event_stream.invoke_complete()
    streamed = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(frames), frames)
    with Peer(answering(OK, streamed, OK)) as peer:
        async with open_variant(f"http://127.0.0.1:{peer.port}", variant) as transport:
            assert isinstance(await send(transport), Reply)
            opened = await transport.open(PARAMETERS, b"1", Progress())
            assert await opened.receive() == b"one"
            assert not isinstance(await opened.receive(), bytes | Failure)
            await opened.finish()
            assert isinstance(await send(transport), Reply)
        assert peer.connections == 1
