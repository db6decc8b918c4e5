"""Which way over the wire is taken, and that whoever stands in aiohttp's way still does."""

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.httpxsession import HttpxSession

from asyncinvoke._transport.http_sessions import KeepaliveAiohttpSession
from asyncinvoke._transport.session import TransportName, open_transport
from asyncinvoke._transport.wires import Wires
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.transport.test_phases import send
from tests.transport.ways import every_way, on_trio, open_client, open_way

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


async def test_whoever_has_replaced_aiohttps_request_sees_the_requests(
    anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if anyio_backend == "trio":
        return  # aiohttp is not in the way
    request = aiohttp.ClientSession._request
    seen: list[str] = []

    async def spy(self: Any, method: str, url: Any, **options: Any) -> Any:
        seen.append(method)
        return await request(self, method, url, **options)

    async with FaultEndpoint() as endpoint, open_way(endpoint.url, "direct") as transport:
        await send(transport)
        monkeypatch.setattr(aiohttp.ClientSession, "_request", spy)
        await send(transport)
        monkeypatch.undo()
        await send(transport)
        assert seen == ["POST"]
        assert endpoint.deliveries("f") == 3


@every_way
async def test_a_session_class_of_the_callers_own_sends_itself(way: str) -> None:
    seen: list[str] = []

    class Own(HttpxSession if on_trio() else AIOHTTPSession):  # type: ignore[misc]
        async def send(self, request: Any) -> Any:
            seen.append(request.url)
            return await super().send(request)

    async with (
        FaultEndpoint() as endpoint,
        open_way(endpoint.url, way, config={"http_session_cls": Own}) as transport,
    ):
        for _ in range(2):
            await send(transport)
        assert len(seen) == endpoint.deliveries("f") == 2


async def test_what_is_not_for_connections_of_ours_is_told_once(
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
                    assert wires.ours("http://lambda.example") is None
            (record,) = [each for each in caplog.records if each.name == "asyncinvoke"]
            assert why in record.getMessage()


async def test_how_long_a_connection_may_be_idle_is_what_the_client_says_or_less() -> None:
    for given, expected in ((5.0, 5.0), (90.0, 12.0)):
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
