"""Which wire a transport uses, and that mocks of aiohttp still see its requests."""

import contextlib
import functools
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import anyio
import httpx2
import pytest
import wrapt
from aiobotocore.client import AioBaseClient
from aiobotocore.endpoint import AioEndpoint
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.httpxsession import HttpxSession

from asyncinvoke import Invoker, ResponseStream, RetryPolicy, ThrottledError, TransportError
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._transport.http_sessions import KeepaliveAiohttpSession
from asyncinvoke._transport.session import TransportName, open_transport
from asyncinvoke._transport.wires import Wires
from asyncinvoke.local import Reset, Streamed, stream, throttle
from asyncinvoke.local.protocol.event_stream import payload_chunk
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.transport.test_phases import send
from tests.transport.variants import every_variant, on_trio, open_client, open_variant

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def wires_of(http_session: Any) -> AsyncIterator[Wires]:
    async with http_session:
        if isinstance(http_session, AIOHTTPSession):
            await http_session._get_session(None)
        wires = Wires(http_session)
        try:
            yield wires
        finally:
            await wires.aclose()


def library_calls() -> list[tuple[Any, str]]:
    """Return the functions of the HTTP library that a request passes through, which tests mock."""
    if on_trio():
        return [
            (httpx2.AsyncClient, "send"),
            (httpx2.AsyncHTTPTransport, "handle_async_request"),
        ]
    return [(aiohttp.ClientSession, "request"), (aiohttp.ClientSession, "_request")]


def spied(original: Any, seen: list[str]) -> dict[str, Any]:
    """Return replacements of several kinds, each of which does what it replaces."""

    def plain(*arguments: Any, **options: Any) -> Any:
        seen.append("plain")
        return original(*arguments, **options)

    @functools.wraps(original)
    def wrapping(*arguments: Any, **options: Any) -> Any:
        seen.append("wrapping")
        return original(*arguments, **options)

    def wrapper(wrapped: Any, instance: Any, arguments: Any, options: Any) -> Any:
        seen.append("wrapt")
        return wrapped(*arguments, **options)

    class Called:
        def __get__(self, instance: Any, kind: Any = None) -> Any:
            return functools.partial(self, instance)

        def __call__(self, *arguments: Any, **options: Any) -> Any:
            seen.append("an object")
            return original(*arguments, **options)

    return {
        "plain": plain,
        "wrapping": wrapping,
        "wrapt": wrapt.FunctionWrapper(original, wrapper),
        "an object": Called(),
    }


@pytest.mark.parametrize("make", ["plain", "wrapping", "wrapt", "an object"])
@pytest.mark.parametrize("step", [0, 1])
async def test_a_replaced_function_of_the_http_library_sees_requests_until_it_is_restored(
    step: int, make: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, name = library_calls()[step]
    seen: list[str] = []
    async with FaultEndpoint() as endpoint, open_variant(endpoint.url, "direct") as transport:
        original = getattr(holder, name)
        replaced = spied(original, seen)[make]
        for there in [original, replaced, original, replaced]:
            monkeypatch.setattr(holder, name, there)
            for _ in range(3):  # the later ones find everything prepared
                await send(transport)
        assert seen == [make] * 6
        assert endpoint.deliveries("f") == 12
        assert endpoint.connections <= 2


@pytest.mark.parametrize("make", ["plain", "wrapping", "wrapt", "an object"])
async def test_a_wrapper_of_the_send_of_the_sdks_session_sees_each_request(
    make: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder: Any = HttpxSession if on_trio() else AIOHTTPSession
    seen: list[str] = []
    async with FaultEndpoint() as endpoint, open_variant(endpoint.url, "direct") as transport:
        await send(transport)
        monkeypatch.setattr(holder, "send", spied(holder.send, seen)[make])
        for _ in range(2):
            await send(transport)
        assert seen == [make] * 2


@pytest.mark.parametrize("step", [0, 1])
async def test_a_function_of_the_http_library_that_a_test_deletes_lets_nothing_be_sent(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultEndpoint() as endpoint, open_variant(endpoint.url, "direct") as transport:
        await send(transport)
        monkeypatch.delattr(*library_calls()[step])
        for _ in range(2):
            answer = await send(transport)
            assert isinstance(answer, Failure)
            assert answer.fault is TransportFault.UNEXPECTED
        assert endpoint.deliveries("f") == 1
        monkeypatch.undo()
        assert (await send(transport)).status_code == 200


# botocore's own step does not wait for aiobotocore's.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize(
    "step",
    [
        (AioBaseClient, "_make_api_call"),
        (AioEndpoint, "_send_request"),
        (AioEndpoint, "_get_response"),
        (AioEndpoint, "_do_get_response"),
    ],
    ids=lambda step: step[1],
)
async def test_a_step_of_the_sdk_that_a_test_deletes_lets_nothing_be_sent(
    step: tuple[type, str], is_open: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultEndpoint() as endpoint:
        if not is_open:
            monkeypatch.delattr(*step)
        async with open_variant(endpoint.url, "direct") as transport:
            if is_open:
                await send(transport)
                monkeypatch.delattr(*step)
            for _ in range(2):
                answer = await send(transport)
                assert isinstance(answer, Failure)
                assert answer.fault is TransportFault.UNEXPECTED
            assert endpoint.deliveries("f") == is_open
            monkeypatch.undo()
            assert (await send(transport)).status_code == 200


class OwnConnector(aiohttp.BaseConnector):
    """A connector of the caller's own, of which nothing is known."""

    def __init__(self, inner: aiohttp.TCPConnector) -> None:
        super().__init__()
        self._inner = inner

    async def _create_connection(self, *arguments: Any) -> Any:
        return await self._inner._create_connection(*arguments)

    async def close(self) -> None:  # type: ignore[override]  # aiohttp's returns an awaitable
        await self._inner.close()
        await super().close()


async def test_a_route_that_becomes_one_of_the_session_alone_serves_the_calls_that_were_prepared(
    anyio_backend: str,
) -> None:
    if anyio_backend == "trio":
        return  # aiohttp is not used
    answers: list[Any] = []
    async with FaultEndpoint() as endpoint, open_variant(endpoint.url, "direct") as transport:

        async def kept() -> None:
            answers.append(await send(transport))

        for _ in range(3):
            await kept()
        (inner,) = transport._wires._http_session._sessions.values()
        inner._connector = OwnConnector(inner._connector)
        async with anyio.create_task_group() as group:
            for _ in range(5):  # more than there are connections
                group.start_soon(kept)
        await kept()
        assert [answer.status_code for answer in answers] == [200] * 9
        assert endpoint.deliveries("f") == 9


# A test's first invoker may be opened within the test's mock, and the library imports its transport
# then.
WITHIN_A_MOCK = """
import aiohttp, anyio, os, sys
import asyncinvoke

async def answered(self, method, url, **options):
    raise aiohttp.ClientConnectionError("the mock answers")

async def main():
    assert "asyncinvoke._transport.wires" not in sys.modules
    request, aiohttp.ClientSession._request = aiohttp.ClientSession._request, answered
    never = asyncinvoke.RetryPolicy.never()
    async with asyncinvoke.Invoker(endpoint_url=sys.argv[1], retry=never) as invoker:
        try:
            await invoker.invoke("f")
        except asyncinvoke.TransportError:
            print("the mock was asked")
        aiohttp.ClientSession._request = request
        print((await invoker.invoke("f")).status_code)
        transport = invoker._opened.transport
        print(transport._wires.ours(sys.argv[1]) is not None)

anyio.run(main)
"""


async def test_a_mock_installed_before_the_transport_was_imported_is_used_too(
    anyio_backend: str,
) -> None:
    if anyio_backend == "trio":
        return  # aiohttp is not used
    async with FaultEndpoint() as endpoint:
        command = [sys.executable, "-c", WITHIN_A_MOCK, endpoint.url]
        ran = await anyio.run_process(command, check=False)
        assert ran.stdout.decode().split("\n") == ["the mock was asked", "200", "True", ""], ran
        assert endpoint.deliveries("f") == 1


@every_variant
async def test_a_session_class_of_the_callers_own_sends_itself(variant: str) -> None:
    seen: list[str] = []

    class Own(HttpxSession if on_trio() else AIOHTTPSession):  # type: ignore[misc]
        async def send(self, request: Any) -> Any:
            seen.append(request.url)
            return await super().send(request)

    async with (
        FaultEndpoint() as endpoint,
        open_variant(endpoint.url, variant, config={"http_session_cls": Own}) as transport,
    ):
        for _ in range(2):
            await send(transport)
        assert len(seen) == endpoint.deliveries("f") == 2


async def test_the_reason_against_own_connections_is_logged_once(
    anyio_backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    if anyio_backend == "trio":
        sessions = {
            "through a proxy": HttpxSession(
                proxies={"http": "http://127.0.0.1:9"}, connector_args={"keepalive_timeout": 5}
            ),
        }
    else:
        sessions = {
            "plain HTTP through a proxy": AIOHTTPSession(proxies={"http": "http://127.0.0.1:9"}),
            "its connections are not to be kept": KeepaliveAiohttpSession(
                connector_args={"force_close": True}
            ),
        }
    with caplog.at_level(logging.DEBUG, logger="asyncinvoke"):
        for why, session in sessions.items():
            caplog.clear()
            async with wires_of(session) as wires:
                for _ in range(2):
                    assert wires.ours("http://user:a-password@lambda.example") is None
            (record,) = [each for each in caplog.records if each.name == "asyncinvoke"]
            assert why in record.getMessage()
            assert "lambda.example" in record.getMessage()
            assert "a-password" not in record.getMessage()


async def test_a_connection_is_idle_at_most_as_long_as_the_client_allows() -> None:
    for given, expected in ((5.0, 5.0), (90.0, 12.0), (0, 0), (None, 12.0)):
        arguments = {"keepalive_timeout": given}
        cls = HttpxSession if on_trio() else AIOHTTPSession
        async with wires_of(cls(connector_args=arguments)) as wires:
            connections = wires.ours("http://127.0.0.1:9")
            assert connections is not None
            assert connections._most_idle == expected


async def test_the_callers_client_is_as_before_when_the_transport_has_closed() -> None:
    async with FaultEndpoint() as endpoint, open_client(endpoint.url, "direct") as client:
        before = [vars(each).copy() for each in (client, client._endpoint)]
        names: tuple[TransportName, ...] = ("direct", "client")
        for name in names:
            transport = await open_transport(client, name)
            await send(transport)
            await transport.aclose()
        assert [vars(each) for each in (client, client._endpoint)] == before
        assert (await client.invoke(FunctionName="f"))["StatusCode"] == 200


@pytest.mark.parametrize("transport", ["direct", "client"])
async def test_a_stream_over_the_http_library_is_that_over_our_own_connections(
    transport: TransportName, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, name = library_calls()[0]
    seen: list[str] = []
    async with (
        FaultEndpoint() as endpoint,
        open_client(endpoint.url, transport) as client,
        Invoker(client, transport=transport, retry=RetryPolicy()) as invoker,
    ):
        monkeypatch.setattr(holder, name, spied(getattr(holder, name), seen)["plain"])
        endpoint.script(
            "f",
            stream(b"a", b"b"),
            throttle(),
            Streamed(frames=(payload_chunk(b"a"),), ending="stalled"),
        )
        async with invoker.stream("f") as chunks:
            assert b"".join([chunk async for chunk in chunks]) == b"ab"
        with pytest.raises(ThrottledError):
            await anext_of(invoker.stream("f"))
        async with invoker.stream("f") as chunks:
            assert await anext(chunks) == b"a"
            closing = invoker._opened
            assert closing is not None
            async with anyio.create_task_group() as group:
                group.start_soon(closing.transport.aclose)
                with pytest.raises(TransportError) as caught:
                    await anext(chunks)
        assert (caught.value.code, caught.value.delivery) == ("InvokerClosed", "executed")
        assert len(seen) == endpoint.deliveries("f") == 3


async def test_what_a_stream_over_the_http_library_meets_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holder, name = library_calls()[0]
    async with FaultEndpoint() as endpoint, open_client(endpoint.url, "direct") as client:
        monkeypatch.setattr(holder, name, spied(getattr(holder, name), [])["plain"])
        endpoint.script("f", Reset())
        async with Invoker(client, retry=RetryPolicy()) as invoker:
            with pytest.raises(TransportError) as caught:
                await anext_of(invoker.stream("f"))
    assert caught.value.delivery == "unknown"


async def anext_of(opening: AbstractAsyncContextManager[ResponseStream]) -> bytes:
    async with opening as chunks:
        return await anext(chunks)
