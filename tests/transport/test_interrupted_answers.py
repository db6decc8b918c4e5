"""An answer that has begun when its attempt ends: its status line counts, in every variant."""

import time
from typing import Any

import anyio
import pytest

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._request.parameters import checked
from tests.doubles.waiting import until
from tests.transport.http.peers import Peer, Script, Wire
from tests.transport.variants import every_variant, open_variant

pytestmark = pytest.mark.anyio

PARAMETERS = checked("f")
SLICED = b'"' + b"x" * 600_000 + b'"'
"""A payload that is written to the kernel in several pieces."""

every_refusal = pytest.mark.parametrize("status", [307, 429, 503])


def begin(status: int) -> Script:
    """Send the beginning of an answer."""

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 %d Whatever\r\nContent-Length: 50\r\n\r\n{" % status)
        wire.peer.released.wait(60)

    return script


def check(ended: object, status: int) -> None:
    assert isinstance(ended, Failure), ended
    assert (ended.fault, ended.status_code) == (None, status)


@every_variant
@every_refusal
async def test_a_refusal_that_has_begun_counts_though_the_transport_is_closed(
    status: int, variant: str
) -> None:
    ends: list[object] = []
    progress = Progress()

    async def call(transport: Any) -> None:
        ends.append(await transport.send(PARAMETERS, b"1", progress))

    with Peer(begin(status)) as peer:
        async with (
            open_variant(f"http://127.0.0.1:{peer.port}", variant) as transport,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(call, transport)
            await until(lambda: progress.phase is Phase.HEAD_READ)
            await transport.aclose()
    check(ends[0], status)


@every_variant
@pytest.mark.parametrize("status", [429])
async def test_a_refusal_that_has_begun_counts_though_the_time_is_up(
    status: int, variant: str
) -> None:
    with Peer(begin(status)) as peer:
        async with open_variant(f"http://127.0.0.1:{peer.port}", variant) as transport:
            # The first call takes another code path than later ones.
            for _ in range(2):
                within, progress = 0.05, Progress()
                ended: object = None
                while (
                    progress.phase is not Phase.HEAD_READ
                ):  # a busy machine gets the time it needs
                    within *= 2
                    progress = Progress(time.monotonic() + within)
                    ended = await transport.send(PARAMETERS, b"1", progress)
                check(ended, status)


@every_variant
async def test_a_successful_answer_that_has_only_begun_does_not_count(variant: str) -> None:
    ends: list[Any] = []
    progress = Progress()

    async def call(transport: Any) -> None:
        ends.append(await transport.send(PARAMETERS, b"1", progress))

    with Peer(begin(200)) as peer:
        async with (
            open_variant(f"http://127.0.0.1:{peer.port}", variant) as transport,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(call, transport)
            await until(lambda: progress.phase is Phase.HEAD_READ)
            await transport.aclose()
    assert (ends[0].fault, ends[0].phase) == (TransportFault.CLOSED, Phase.HEAD_READ)


@every_variant
@pytest.mark.parametrize(
    ("payload", "status", "connections"),
    [(SLICED, 413, 2), (SLICED, 200, 1), (b"1", 413, 1)],
)
async def test_after_the_refusal_of_a_large_request_another_connection_is_used(
    payload: bytes, status: int, connections: int, variant: str
) -> None:
    """It may have come before the request was read, and the end that follows may be in transit."""

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 %d Whatever\r\nContent-Length: 2\r\n\r\n{}" % status)
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with Peer(script) as peer:
        async with open_variant(f"http://127.0.0.1:{peer.port}", variant) as transport:
            first = await transport.send(PARAMETERS, payload, Progress())
            assert first.status_code == status
            await transport.send(PARAMETERS, b"1", Progress())
        assert peer.connections == connections
