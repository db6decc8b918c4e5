"""A failed call leaves no reference cycle: its payload is freed as soon as its error is dropped."""

import gc
import tracemalloc
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager

import anyio
import pytest

from asyncinvoke import AsyncInvokeError, Invoker
from tests.doubles.addresses import refused_port
from tests.doubles.counting_server import HANG_UP, STALL, Act, CountingServer
from tests.doubles.messages import (
    chunk_frame,
    complete_frame,
    error_answer,
    function_error_answer,
    stream_answer,
    throttle_answer,
)

from .conftest import THREE_WAYS
from .invokers import open_invoker

on_three_ways = pytest.mark.parametrize(("anyio_backend", "transport"), THREE_WAYS)


class Payload(dict[str, object]):
    """A payload that can be referenced weakly."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def serving(act: Act) -> Callable[[], AbstractContextManager[CountingServer]]:
    return lambda: CountingServer(default=act)


async def by_invoke(invoker: Invoker, payload: object) -> None:
    await invoker.invoke("f", payload, timeout=5)


async def by_late_invoke(invoker: Invoker, payload: object) -> None:
    await invoker.invoke("f", payload, timeout=0.05)


async def by_map(invoker: Invoker, payload: object) -> None:
    # An exhausted iterator holds nothing, unlike a list.
    async with invoker.map("f", iter([payload])) as run:
        del payload
        async for outcome in run:
            outcome.unwrap()


async def by_stream(invoker: Invoker, payload: object) -> None:
    async with invoker.stream("f", payload) as stream:
        del payload
        async for _ in stream:
            pass


Way = Callable[[Invoker, object], Awaitable[None]]

FAILURES: dict[str, tuple[Act | None, Way]] = {
    "function error": (Act(sent=function_error_answer()), by_invoke),
    "function error, in a map": (Act(sent=function_error_answer()), by_map),
    "throttled": (Act(sent=throttle_answer()), by_invoke),
    "refused by Lambda": (Act(sent=error_answer(404, "ResourceNotFoundException")), by_invoke),
    "hung up": (HANG_UP, by_invoke),
    "hung up, in a map": (HANG_UP, by_map),
    "connection refused": (None, by_invoke),
    "connection refused, in a map": (None, by_map),
    "deadline": (STALL, by_late_invoke),
    "stream refused": (Act(sent=throttle_answer()), by_stream),
    "stream failed": (
        Act(sent=stream_answer(chunk_frame(b"one"), complete_frame(ErrorCode="Unhandled"))),
        by_stream,
    ),
    "stream cut": (
        Act(sent=stream_answer(chunk_frame(b"one"), is_ended=False), then="close"),
        by_stream,
    ),
}


async def failed(way: Way, invoker: Invoker) -> tuple["weakref.ref[Payload]", type]:
    """Fail once, drop the error, and return a weak reference to the payload."""
    payload = Payload(n=1)
    watched = weakref.ref(payload)
    kind: type = type(None)
    try:
        await way(invoker, payload)
    except AsyncInvokeError as error:
        kind = type(error)
    del payload
    return watched, kind


@pytest.mark.anyio
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("name", FAILURES)
@on_three_ways
async def test_the_payload_of_a_failed_call_is_free_once_its_error_is_dropped(
    name: str, transport: str
) -> None:
    act, way = FAILURES[name]
    with CountingServer(default=act or HANG_UP) as server:
        url = f"http://127.0.0.1:{refused_port()}" if act is None else server.url
        async with open_invoker(url, transport=transport) as invoker:
            # The first call also fills caches.
            for _ in range(2):
                watched, kind = await failed(way, invoker)
                assert issubclass(kind, AsyncInvokeError)
            # A task that was cancelled meanwhile refers to where that was done, until it has ended.
            await anyio.wait_all_tasks_blocked()
            held = watched()
    assert held is None, f"held by {[type(each) for each in gc.get_referrers(held)]}"


SIZE = 100_000
COUNT = 100


@pytest.mark.anyio
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("name", ["function error", "connection refused", "throttled", "hung up"])
@on_three_ways
async def test_failures_do_not_pile_up(name: str, transport: str) -> None:
    act, way = FAILURES[name]
    with CountingServer(default=act or HANG_UP) as server:
        url = f"http://127.0.0.1:{refused_port()}" if act is None else server.url
        async with open_invoker(url, transport=transport) as invoker:

            async def fail(number: int) -> None:
                payload = b'"%d%s"' % (number, b"x" * SIZE)
                try:
                    await way(invoker, payload)
                except AsyncInvokeError:
                    return
                raise AssertionError("it succeeded")

            await fail(0)
            server.requests.clear()
            tracemalloc.start(1)
            try:
                for number in range(COUNT):
                    await fail(number)
                    server.requests.clear()
                kept, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    assert kept < 10 * SIZE, f"{kept / SIZE:.0f} of {COUNT} payloads are kept"
