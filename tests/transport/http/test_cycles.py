"""No object of this package is left for the garbage collector, however an exchange ends."""

import contextlib
from collections import Counter
from typing import Any

import anyio
import pytest

from asyncinvoke._model.delivery import Progress
from asyncinvoke._transport.http.errors import WireError
from tests.doubles.garbage import found_by_the_collector, only_what_is_new
from tests.transport.http.conftest import Network, request
from tests.transport.http.peers import OK, Wire

pytestmark = pytest.mark.anyio
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"


def resets(wire: Wire) -> None:
    wire.request()
    wire.reset()


def truncates(wire: Wire) -> None:
    wire.request()
    wire.send(CHUNKED)


def sends_garbage(wire: Wire) -> None:
    wire.request()
    wire.send(b"HTTP/1.1 200 OK\nX")


def waits(wire: Wire) -> None:
    wire.request()
    wire.send(b"HTTP/1.1 2")
    wire.wait_end()


def answers(wire: Wire) -> None:
    while True:
        wire.request()
        wire.send(OK)
        wire.request()
        wire.send(CHUNKED + b"0\r\n\r\n")


def truncates_a_stream(wire: Wire) -> None:
    wire.request()
    wire.send(OK)
    wire.request()
    wire.send(CHUNKED)


def stalls_a_stream(wire: Wire) -> None:
    wire.request()
    wire.send(OK)
    wire.request()
    wire.send(CHUNKED)
    wire.wait_end()


PLAIN = [resets, truncates, sends_garbage, waits, answers, truncates_a_stream, stalls_a_stream]
ENDS = [("http", script) for script in PLAIN] + [("https", waits), ("https", stalls_a_stream)]


@pytest.mark.parametrize(("scheme", "script"), ENDS)
async def test_no_exchange_leaves_a_reference_cycle_behind(network: Network, script: Any) -> None:
    peer = network.peer(script)
    async with network.connections(peer, read_timeout=0.01) as connections:

        async def exchange() -> None:
            with contextlib.suppress(WireError):
                await connections.exchange(*request(), Progress())
                stream = await connections.stream(*request(), Progress())
                try:
                    while await stream.receive():
                        pass
                finally:
                    await stream.aclose()

        await exchange()
        await anyio.sleep(0.01)
        with only_what_is_new():
            for _ in range(3):
                await exchange()
            for idle in list(connections._idle):
                idle.abort()
            while connections.open:
                await anyio.sleep(0.001)
            await anyio.wait_all_tasks_blocked()
            left = Counter(
                type(one).__module__ + "." + type(one).__qualname__
                for one in found_by_the_collector()
            )
    assert not [name for name in left if name.startswith(("asyncinvoke", "httptools"))]
