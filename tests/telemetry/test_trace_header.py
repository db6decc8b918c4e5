"""The trace header: the value that each attempt sends, on every transport, and which are valid."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.httpxsession import HttpxSession

from asyncinvoke import InvalidRequestError, Invoker, trace_header
from asyncinvoke.local import LocalLambda, throttle
from asyncinvoke.testing import InstantClock
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.doubles.sessions import SESSION

pytestmark = pytest.mark.anyio

HEADER = "x-amzn-trace-id"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def opened(url: str, transport: Any, **options: Any) -> Invoker:
    return Invoker(
        session=SESSION, endpoint_url=url, transport=transport, clock=InstantClock(), **options
    )


async def test_each_attempt_sends_the_value_of_its_moment(transport: str) -> None:
    async with FaultEndpoint() as endpoint, opened(endpoint.url, transport) as invoker:
        endpoint.script("f", throttle())
        token = trace_header.set(TRACE)
        await invoker.invoke("f", 1)
        async with invoker.stream("f") as stream:
            [_ async for _ in stream]
        trace_header.set("Root=2")
        await invoker.send_event("f", 1)
        trace_header.reset(token)
        await invoker.invoke("f", 1)
        sent = [request.headers.get(HEADER) for request in endpoint.requests("f")]
        signed = [request.headers["authorization"] for request in endpoint.requests("f")]
    assert sent == [TRACE, TRACE, TRACE, "Root=2", None]
    assert not any(HEADER in each for each in signed)


async def test_the_items_of_a_map_have_the_trace_of_its_block(transport: str) -> None:
    async with FaultEndpoint() as endpoint, opened(endpoint.url, transport) as invoker:
        token = trace_header.set(TRACE)
        async with invoker.map("f", range(20), concurrency=5) as run:
            trace_header.set("Root=2")
            [_ async for _ in run]
        trace_header.reset(token)
        sent = {request.headers.get(HEADER) for request in endpoint.requests("f")}
    assert sent == {TRACE}


async def test_tasks_keep_their_traces_apart(transport: str) -> None:
    async def call(invoker: Invoker, number: int) -> None:
        trace_header.set(f"Root={number}")
        await invoker.invoke(f"f{number}", 1)

    async with FaultEndpoint() as endpoint, opened(endpoint.url, transport) as invoker:
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(call, invoker, number)
        assert trace_header.get() is None
        for number in range(10):
            (request,) = endpoint.requests(f"f{number}")
            assert request.headers[HEADER] == f"Root={number}"


class OwnHttpx(HttpxSession):  # type: ignore[misc]  # botocore has no types
    """A custom session class, so that requests go through its `send`."""


class OwnAiohttp(AIOHTTPSession):  # type: ignore[misc]
    """The same on aiohttp."""


async def test_it_is_sent_through_a_session_of_the_callers_own_as_well(
    transport: str, anyio_backend: str
) -> None:
    kind = OwnHttpx if anyio_backend == "trio" else OwnAiohttp
    config = AioConfig(http_session_cls=kind)
    async with FaultEndpoint() as endpoint:
        async with opened(endpoint.url, transport, config=config) as invoker:
            token = trace_header.set(TRACE)
            await invoker.invoke("f", 1)
            trace_header.reset(token)
        (request,) = endpoint.requests("f")
    assert request.headers[HEADER] == TRACE


async def test_inside_lambda_what_is_set_goes_before_the_trace_of_the_run(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "caller")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=of-this-run")
    async with FaultEndpoint() as endpoint, opened(endpoint.url, transport) as invoker:
        await invoker.invoke("f", 1)
        token = trace_header.set(TRACE)
        await invoker.invoke("f", 1)
        trace_header.reset(token)
        sent = [request.headers.get(HEADER) for request in endpoint.requests("f")]
    assert sent == ["Root=of-this-run", TRACE]


async def test_a_function_sees_it_as_aws_shows_it(transport: str) -> None:
    folder = Path(__file__).parents[1] / "independent"
    async with LocalLambda() as local, opened(local.url, transport) as invoker:
        local.function("trace", "lambda_functions:trace", directory=folder, timeout=60)
        token = trace_header.set(TRACE)
        seen = (await invoker.invoke("trace")).json()
        trace_header.reset(token)
    assert seen == TRACE


@pytest.mark.parametrize(
    "value", ["", "a b", "a\r\nX-Evil: 1", "a\n", "\x7f", "caf\u00e9", "a" * 1025, 7, b"Root=1"]
)
def test_a_value_that_cannot_be_sent_as_it_is_is_refused_where_it_is_set(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="trace_header") as refused:
        trace_header.set(value)
    assert "Evil" not in str(refused.value)
    assert trace_header.get() is None


def test_it_behaves_as_a_context_variable() -> None:
    assert trace_header.get() is None
    outer = trace_header.set("a" * 1024)
    inner = trace_header.set(None)
    assert trace_header.get() is None
    trace_header.reset(inner)
    assert trace_header.get() == "a" * 1024
    trace_header.reset(outer)
    assert trace_header.get() is None
