"""The decisions of the pool, with scripted connections."""

import ssl
from collections.abc import Callable

import pytest

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import Answer, Headers
from asyncinvoke._transport.http.connection import Connection, Limits
from asyncinvoke._transport.http.errors import WireError
from asyncinvoke._transport.http.pool import Connections

pytestmark = pytest.mark.anyio
OK = Answer(200, b"HTTP/1.1 200 OK\r\n\r\n", b"hi")


class Scripted:
    """A connection whose exchanges end as the script says, and which is quiet in between."""

    def __init__(self, *ends: Answer | WireError) -> None:
        self.born = 1e9
        self.reused = False
        self.reusable = True
        self.on_end: Callable[[Connection], object] | None = None
        self.ends = list(ends)

    def is_quiet(self) -> bool:
        return True

    def tls(self) -> ssl.SSLObject | None:
        return None

    async def exchange(
        self, head: bytes, body: bytes, progress: Progress, limits: Limits
    ) -> Answer:
        end = self.ends.pop(0)
        if isinstance(end, WireError):
            progress.phase = end.phase
            raise end
        return end

    async def begin_stream(
        self, head: bytes, body: bytes, progress: Progress, limits: Limits
    ) -> tuple[int, Headers]:
        raise NotImplementedError

    async def receive(self) -> list[bytes]:
        raise NotImplementedError

    def end(self, fault: TransportFault, message: str) -> None:
        self.abort()

    def abort(self) -> None:
        if self.on_end is not None:
            self.on_end(self)

    async def wait_closed(self) -> None:
        pass

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


def lost(phase: Phase) -> WireError:
    return WireError(TransportFault.CONNECTION_LOST, phase, "lost")


async def pool_of(*connections: Scripted) -> Connections:
    left = list(connections)

    async def opening(progress: Progress) -> Connection:
        return left.pop(0)

    return Connections(opening, most_body=1)


async def test_only_a_reused_connection_that_took_nothing_is_replaced_in_silence() -> None:
    dead = Scripted(OK, lost(Phase.CONNECTED))
    connections = await pool_of(dead, Scripted(OK))
    assert (await connections.exchange(b"", b"", Progress())).status == 200
    assert (await connections.exchange(b"", b"", Progress())).status == 200
    assert not dead.ends
    assert connections.open == 1


@pytest.mark.parametrize(
    "ends",
    [
        [lost(Phase.CONNECTED)],
        [OK, lost(Phase.WRITTEN_IN_PART)],
        [OK, lost(Phase.WRITTEN)],
        [OK, WireError(TransportFault.CLOSED, Phase.CONNECTED, "closed")],
        [OK, WireError(TransportFault.INTERRUPTED, Phase.CONNECTED, "late")],
    ],
)
async def test_any_other_end_is_reported(ends: list[Answer | WireError]) -> None:
    connections = await pool_of(Scripted(*ends), Scripted(OK))
    for _ in ends[:-1]:
        await connections.exchange(b"", b"", Progress())
    with pytest.raises(WireError):
        await connections.exchange(b"", b"", Progress())
    assert connections.open == 0
