"""No sent or received data shows in an error, its causes, or the frames of its traceback."""

import pickle
import ssl
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import anyio
import pytest

from asyncinvoke._model.delivery import Progress
from asyncinvoke._transport.http.errors import WireError
from tests.transport.http.conftest import Network
from tests.transport.http.peers import OK, Wire

pytestmark = pytest.mark.anyio
SECRET = b"sesame"
HEAD = b"POST / HTTP/1.1\r\nX-Token: sesame\r\nContent-Length: %d\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nX-Secret: sesame\r\n"


def shown(error: BaseException | None) -> Iterator[tuple[str, object]]:
    """Return everything that an error reporter could print."""
    while error is not None:
        yield "repr", repr(error)
        yield "str", str(error)
        yield "args", error.args
        frame: Any = error.__traceback__
        while frame is not None:
            if "/tests/" not in frame.tb_frame.f_code.co_filename:
                yield frame.tb_frame.f_code.co_qualname, locals_of(frame.tb_frame)
            frame = frame.tb_next
        assert error.__context__ in (None, error.__cause__)
        error = error.__cause__
        assert error is None or error.__traceback__ is None


def locals_of(frame: FrameType) -> list[object]:
    found: list[object] = []
    for value in frame.f_locals.values():
        found.append(value)
        found.extend(vars(value).values() if hasattr(value, "__dict__") else ())
    return found


def resets(wire: Wire) -> None:
    wire.request()
    wire.reset()


def truncates(wire: Wire) -> None:
    wire.request()
    wire.send(ANSWER + b"Content-Length: 20\r\n\r\nsesame")


def sends_garbage(wire: Wire) -> None:
    wire.request()
    wire.send(ANSWER + b"sesame\n\n")


def says_too_much(wire: Wire) -> None:
    wire.request()
    wire.send(ANSWER + b"Content-Length: 100000000\r\n\r\nsesame")


def waits(wire: Wire) -> None:
    wire.request()
    wire.wait_end()


def resets_in_the_middle(wire: Wire) -> None:
    wire.receive(1000)
    wire.reset()


def never_reads(wire: Wire) -> None:
    wire.receive(1)
    wire.peer.released.wait(20)


SCRIPTS = [
    resets,
    truncates,
    sends_garbage,
    says_too_much,
    waits,
    resets_in_the_middle,
    never_reads,
]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("way_to_end", ["by itself", "by deadline"])
async def test_no_error_shows_what_was_sent_or_answered(
    network: Network, script: Any, way_to_end: str
) -> None:
    large = script in (resets_in_the_middle, never_reads)
    body = SECRET * (5_000_000 if large else 10)
    peer = network.peer(script, receive_buffer=65_536 if large else None)
    async with network.connections(peer, read_timeout=0.05, write_timeout=0.05) as connections:
        deadline = time.monotonic() + 0.05 if way_to_end == "by deadline" else float("inf")
        with pytest.raises(WireError) as raised:
            await connections.exchange(HEAD % len(body), body, Progress(deadline))
    del body
    for where, what in shown(raised.value):
        assert "sesame" not in repr(what), where
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


async def test_no_frame_of_a_cancellation_shows_what_was_sent(network: Network) -> None:
    peer = network.peer(waits)
    caught: list[BaseException] = []

    async def exchange() -> None:
        try:
            await connections.exchange(HEAD % 6, SECRET, Progress())
        except BaseException as error:
            caught.append(error)
            raise

    async with network.connections(peer) as connections, anyio.create_task_group() as group:
        group.start_soon(exchange)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    for where, what in shown(caught[0]):
        assert "sesame" not in repr(what), where


async def test_no_value_shows_what_was_answered(network: Network) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(ANSWER + b"Content-Length: 6\r\n\r\nsesame")

    peer = network.peer(script)
    async with network.connections(peer) as connections:
        answer = await connections.exchange(HEAD % 6, SECRET, Progress())
        assert answer.body == SECRET
        assert "sesame" not in repr((answer, answer.headers, connections))


def test_the_scripts_do_send_the_secret() -> None:
    assert SECRET in ANSWER
    assert SECRET in HEAD
    assert SECRET not in OK
    assert ssl.HAS_TLSv1_3
