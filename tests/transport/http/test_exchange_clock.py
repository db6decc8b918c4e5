"""Silence, stalls, deadlines and cancellation end an exchange, and only that exchange."""

import math
import time
from collections.abc import Callable
from types import SimpleNamespace

import anyio
import anyio.lowlevel
import pytest

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http import exchange_clock
from asyncinvoke._transport.http.connection import Limits
from asyncinvoke._transport.http.errors import WireError
from asyncinvoke._transport.http.pool import Connections
from tests.doubles.waiting import until
from tests.transport.http.conftest import Clock, Network, request
from tests.transport.http.peers import OK, Wire

pytestmark = pytest.mark.anyio
LARGE = b"x" * 30_000_000


def silent(wire: Wire) -> None:
    """Answer the requests on the first path, and none to the second."""
    while True:
        _, body = wire.request()
        if body != b"wait":
            wire.send(OK)


def talks(wire: Wire) -> None:
    """Answer one request completely, and the next one partially."""
    wire.request()
    wire.send(OK)
    wire.request()
    wire.send(OK[:-2])
    wire.wait_end()


def stalls(wire: Wire) -> None:
    """Answer one request, and read one byte of the next."""
    wire.request()
    wire.send(OK)
    wire.receive(1)
    wire.peer.released.wait(20)


STALLED = (
    (silent, b"wait", Phase.WRITTEN),
    (talks, b"abc", Phase.HEAD_READ),
    (stalls, LARGE, Phase.WRITTEN_IN_PART),
)


@pytest.mark.parametrize("scheme", ["http"])  # TLS changes no times
@pytest.mark.parametrize("reused", [False, True])
async def test_silence_ends_an_exchange(network: Network, reused: bool, clock: Clock) -> None:
    peer = network.peer(silent)
    async with network.connections(peer, read_timeout=60) as connections:
        if reused:
            await connections.exchange(*request(), Progress())
        error = await ended(connections, clock, b"wait", Phase.WRITTEN, 61)
        assert error.fault is TransportFault.READ_TIMEOUT
        assert error.phase is Phase.WRITTEN
        assert error.message == "nothing moved for 60 s"
        assert connections.idle == 0


@pytest.mark.parametrize("scheme", ["http"])  # TLS changes no times
async def test_silence_within_an_answer_ends_it(network: Network, clock: Clock) -> None:
    peer = network.peer(talks)
    async with network.connections(peer, read_timeout=60) as connections:
        await connections.exchange(*request(), Progress())
        error = await ended(connections, clock, b"abc", Phase.HEAD_READ, 61)
        assert error.fault is TransportFault.READ_TIMEOUT
        assert error.phase is Phase.HEAD_READ


@pytest.mark.parametrize("scheme", ["http"])  # TLS changes no times
async def test_the_timer_of_an_exchange_fires_by_itself(network: Network) -> None:
    peer = network.peer(silent)
    async with network.connections(peer, read_timeout=0.02) as connections:
        with pytest.raises(WireError, match="nothing moved") as raised:
            await connections.exchange(*request(b"wait"), Progress())
        assert raised.value.fault is TransportFault.READ_TIMEOUT


@pytest.mark.parametrize("scheme", ["http"])  # TLS changes no times
async def test_a_slow_answer_does_not_count_as_silence(network: Network) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        for at in range(len(OK)):
            wire.send(OK[at : at + 1])
            time.sleep(0.005)

    peer = network.peer(script)
    async with network.connections(peer, read_timeout=10) as connections:
        answer = await connections.exchange(*request(), Progress())
        assert answer.body == b"hi"


class Stalled:
    """A connection on which nothing moves: its clock, and the time that the clock reads."""

    def __init__(self) -> None:
        self.now = 0.0
        self.clock = exchange_clock.ExchangeClock(self)
        self.left: int | None = None
        self.rings: list[Callable[[], None]] = []
        self.ended: list[TransportFault] = []
        self.is_answered = False

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        self.rings.append(callback)
        return lambda: None

    def unsent(self) -> int | None:
        return self.left

    def is_under_way(self) -> bool:
        return not self.is_answered

    def is_awaited(self) -> bool:
        return True

    def end(self, fault: TransportFault, message: str) -> None:
        self.ended.append(fault)

    def ring(self, now: float) -> None:
        """Let the timer fire at this time."""
        self.now = now
        self.rings.pop()()


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> Stalled:
    stalled = Stalled()
    monkeypatch.setattr(exchange_clock, "time", SimpleNamespace(monotonic=lambda: stalled.now))
    return stalled


async def test_a_stall_ends_an_exchange_after_its_time_and_not_after_twice_that(
    stalled: Stalled,
) -> None:
    stalled.left = 5
    progress = Progress()
    progress.phase = Phase.WRITTEN_IN_PART
    stalled.clock.begin(progress, Limits(1, 960, 120))
    stalled.ring(120.05)
    assert stalled.ended == [TransportFault.WRITE_TIMEOUT]


@pytest.mark.parametrize("is_answered", [True, False])
@pytest.mark.parametrize("deadline", [30.0, math.inf])
async def test_an_answer_that_came_while_the_process_was_suspended_is_read_before_it_is_given_up(
    stalled: Stalled, deadline: float, is_answered: bool
) -> None:
    stalled.clock.begin(Progress(deadline), Limits(1, 960, 120))
    stalled.ring(5000.0)
    assert not stalled.ended
    stalled.is_answered = is_answered  # the event loop has looked at its sockets
    stalled.ring(5000.002)
    assert bool(stalled.ended) is not is_answered


async def test_an_exchange_ends_in_a_process_whose_event_loop_is_blocked_all_the_time(
    stalled: Stalled,
) -> None:
    stalled.clock.begin(Progress(30), Limits(1, 960, 120))
    stalled.ring(35.0)
    assert not stalled.ended
    stalled.ring(40.0)
    assert stalled.ended == [TransportFault.INTERRUPTED]


async def test_unsent_bytes_of_an_older_exchange_do_not_count_for_the_next(
    stalled: Stalled,
) -> None:
    stalled.left = 5
    progress = Progress()
    progress.phase = Phase.WRITTEN_IN_PART
    stalled.clock.begin(progress, Limits(1, 960, 120))
    stalled.left = 3
    stalled.ring(60.0)
    assert not stalled.ended
    stalled.now = 61.0
    stalled.left = 7
    stalled.clock.begin(progress, Limits(1, 960, 120))
    # As many as were left when the timer last fired, but fewer than at the beginning.
    stalled.left = 3
    stalled.ring(150.0)
    stalled.ring(200.0)
    assert not stalled.ended
    stalled.ring(270.05)
    assert stalled.ended == [TransportFault.WRITE_TIMEOUT]


async def test_a_peer_that_takes_no_more_ends_an_exchange_that_was_not_sent(
    network: Network, clock: Clock
) -> None:
    peer = network.peer(stalls, receive_buffer=65_536)
    async with network.connections(peer, write_timeout=60) as connections:
        await connections.exchange(*request(), Progress())
        error = await ended(connections, clock, LARGE, Phase.WRITTEN_IN_PART, 61)
        assert error.fault is TransportFault.WRITE_TIMEOUT
        assert error.phase is Phase.WRITTEN_IN_PART


@pytest.mark.parametrize("scheme", ["http"])
async def test_a_peer_that_reads_slowly_does_not_count_as_stalled(
    network: Network, clock: Clock
) -> None:
    def script(wire: Wire) -> None:
        wire.receive(1)
        for _ in range(12):
            time.sleep(0.005)
            wire.receive(100_000)
        wire.wait_end()

    peer = network.peer(script, receive_buffer=65_536)
    async with network.connections(
        peer, send_buffer=65_536, write_timeout=60, read_timeout=60
    ) as connections:
        error = await ended(connections, clock, LARGE[:1_200_000], Phase.WRITTEN, 61)
        assert error.fault is TransportFault.READ_TIMEOUT
        assert error.phase is Phase.WRITTEN


async def test_the_last_bytes_of_a_request_count_as_sent_when_the_kernel_has_them(
    network: Network, clock: Clock, anyio_backend: object
) -> None:
    # The rest fits into any buffer but the kernel's, which are made small.
    peer = network.peer(stalls, receive_buffer=4096)
    async with network.connections(
        peer, send_buffer=4096, write_timeout=60, read_timeout=60
    ) as all:
        await all.exchange(*request(), Progress())
        error = await ended(all, clock, b"x" * 60_000, None, 61)
    if network.scheme == "https" and anyio_backend != "asyncio" and error.phase is Phase.WRITTEN:
        return  # bytes accepted by uvloop's TLS cannot be tracked, so they count as sent
    assert error.phase is Phase.WRITTEN_IN_PART
    assert error.fault is TransportFault.WRITE_TIMEOUT


async def test_a_deadline_ends_an_exchange_in_each_phase(network: Network, clock: Clock) -> None:
    for script, body, phase in STALLED:
        peer = network.peer(script, receive_buffer=65_536)
        async with network.connections(peer) as connections:
            await connections.exchange(*request(), Progress())
            error = await ended(connections, clock, body, phase, 61, deadline=60)
            assert error.fault is TransportFault.INTERRUPTED
            assert error.phase is phase
            assert error.message == "its time was up"
            assert connections.idle == 0


async def ended(
    connections: Connections,
    clock: Clock,
    body: bytes,
    phase: Phase | None,
    seconds: float,
    deadline: float = math.inf,
) -> WireError:
    """Return the result of an exchange for which time passes once it has reached a phase."""
    progress = Progress(clock.monotonic() + deadline)
    phases = (Phase.WRITTEN_IN_PART, Phase.WRITTEN) if phase is None else (phase,)
    async with anyio.create_task_group() as group:
        group.start_soon(clock.jump, connections, progress, phases, seconds)
        with pytest.raises(WireError) as raised:
            await connections.exchange(*request(body), progress)
    assert progress.phase is raised.value.phase
    return raised.value


async def test_after_the_deadline_nothing_is_begun(network: Network) -> None:
    peer = network.peer(silent)
    async with network.connections(peer) as connections:
        await connections.exchange(*request(), Progress())
        with pytest.raises(WireError) as raised:
            await connections.exchange(*request(), Progress(time.monotonic()))
        assert raised.value.fault is TransportFault.INTERRUPTED
        assert raised.value.phase is Phase.NOT_BEGUN
        # The connection is still usable.
        await connections.exchange(*request(), Progress())
    assert peer.connections == 1


async def test_a_cancelled_exchange_ends_its_connection_and_reports_its_phase(
    network: Network,
) -> None:
    for script, body, phase in STALLED:
        peer = network.peer(script, receive_buffer=65_536)
        async with network.connections(peer) as connections:
            await connections.exchange(*request(), Progress())
            progress = Progress()
            async with anyio.create_task_group() as group:
                group.start_soon(connections.exchange, *request(body), progress)
                while progress.phase is not phase:
                    await anyio.sleep(0.001)
                group.cancel_scope.cancel()
            assert progress.phase is phase
            assert connections.idle == 0


async def test_a_cancellation_that_comes_after_the_answer_touches_no_other_exchange(
    network: Network,
) -> None:
    # Cancelled at random moments, some between the last byte and the wake-up.
    peer = network.peer(silent)
    async with network.connections(peer) as connections:
        for turn in range(30):
            progress = Progress()
            async with anyio.create_task_group() as group:
                group.start_soon(connections.exchange, *request(), progress)
                for _ in range(turn):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            answer = await connections.exchange(*request(), Progress())
            assert answer.body == b"hi"
        assert connections.open == connections.idle


@pytest.mark.parametrize("scheme", ["http"])  # TLS changes no times
async def test_a_deadline_that_passed_leaves_the_others_alone(network: Network) -> None:
    peer = network.peer(silent)
    async with network.connections(peer) as connections, anyio.create_task_group() as group:
        await connections.exchange(*request(), Progress())
        patient = Progress()
        scope = anyio.CancelScope()

        async def waits() -> None:
            with scope:
                await connections.exchange(*request(b"wait"), patient)

        group.start_soon(waits)
        await until(lambda: patient.phase is Phase.WRITTEN)
        with pytest.raises(WireError):
            await connections.exchange(*request(b"wait"), Progress(time.monotonic() + 0.05))
        assert patient.phase is Phase.WRITTEN
        for _ in range(3):
            await connections.exchange(*request(), Progress(time.monotonic() + 10))
        assert patient.phase is Phase.WRITTEN
        scope.cancel()
