"""A failed call leaves no frame of this package, and so no payload, to the garbage collector."""

import gc
import socket
from collections.abc import Iterator
from types import FrameType

import anyio.lowlevel
import pytest

from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._request.parameters import checked
from asyncinvoke._transport.http.answer import Answer
from tests.doubles.garbage import found_by_the_collector, only_what_is_new
from tests.transport.http.peers import Peer, Wire, answering
from tests.transport.variants import every_variant, open_variant

pytestmark = pytest.mark.anyio

THROTTLE = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}"


def hang_up(wire: Wire) -> None:
    wire.request()


def left_of_ours() -> list[str]:
    """Return the functions whose frames only the collector would free."""
    return [
        f"{found.f_code.co_filename}:{found.f_code.co_name}"
        for found in found_by_the_collector()
        if isinstance(found, FrameType) and "asyncinvoke" in found.f_code.co_filename
    ]


@pytest.fixture
def _no_collection() -> Iterator[None]:
    with only_what_is_new():
        yield


@pytest.mark.usefixtures("_no_collection")
@every_variant
@pytest.mark.parametrize("fault", ["throttled", "hung up", "refused"])
async def test_no_frame_outlives_a_failed_call(fault: str, variant: str) -> None:
    script = answering(THROTTLE) if fault == "throttled" else hang_up
    with Peer(script) as peer, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1] if fault == "refused" else peer.port
        async with open_variant(f"http://127.0.0.1:{port}", variant) as transport:
            for _ in range(2):
                left_of_ours()  # the first call creates the template
                failed = await transport.send(checked("f"), b"payload", Progress())
                assert isinstance(failed, Failure)
            assert left_of_ours() == []


def bodies_kept() -> int:
    """Return the number of pieces of a body of x that lists and answers hold."""
    kept = [each for holder in gc.get_objects() if type(holder) is list for each in holder]
    kept += [holder.body for holder in gc.get_objects() if type(holder) is Answer]
    return sum(type(each) is bytes and len(each) > 9 and not each.strip(b"x") for each in kept)


@every_variant
@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_an_idle_connection_keeps_no_body(size: int, variant: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    before = bodies_kept()
    with Peer(answering(answer)) as peer:
        async with open_variant(f"http://127.0.0.1:{peer.port}", variant) as transport:
            reply = await transport.send(checked("f"), b"payload", Progress())
            assert isinstance(reply, Reply)
            # The body came in one piece, or in many that were joined.
            assert len(reply.payload) == size
            del reply
            await anyio.lowlevel.checkpoint()  # the event loop holds it while this task runs
            assert bodies_kept() <= before
