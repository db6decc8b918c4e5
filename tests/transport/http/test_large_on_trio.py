"""On trio a large request is written by a second task, which does not change how exchanges end."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest
import trio

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._transport.http.trio_stream import TrioStream
from tests.transport.http.conftest import Network, request
from tests.transport.http.peers import Wire

pytestmark = pytest.mark.anyio
LARGE = b"x" * 6_000_000


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


def reads_nothing(wire: Wire) -> None:
    wire.peer.released.wait(20)


@pytest.mark.parametrize("name", ["receive", "write_rest"])
async def test_an_interrupt_in_the_reader_or_the_writer_comes_out_as_itself(
    network: Network, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*_: object) -> None:
        await trio.lowlevel.checkpoint()
        raise KeyboardInterrupt

    peer = network.peer(reads_nothing, receive_buffer=65_536)
    async with network.connections(peer) as connections:
        for kind in (TrioStream, *TrioStream.__subclasses__()):
            monkeypatch.setattr(kind, name, interrupted)
        progress = Progress()
        with anyio.fail_after(60), pytest.raises(KeyboardInterrupt) as raised:
            await connections.exchange(*request(LARGE), progress)
        assert raised.value.__context__ is None
        assert progress.phase is Phase.WRITTEN_IN_PART


@pytest.mark.parametrize("bounded", [trio.move_on_after, anyio.move_on_after])
async def test_a_cancellation_comes_out_of_a_large_request_as_out_of_a_small_one(
    network: Network, bounded: Callable[[float], Any]
) -> None:
    peer = network.peer(reads_nothing, receive_buffer=65_536)
    async with network.connections(peer) as connections:
        for body in (b"abc", LARGE):
            seen: list[type[BaseException]] = []
            with bounded(0.05) as scope:
                try:
                    await connections.exchange(*request(body), Progress())
                except BaseException as error:
                    seen.append(type(error))
                    raise
            assert scope.cancelled_caught
            assert seen == [trio.Cancelled]
