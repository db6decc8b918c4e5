"""If the direct transport cannot send what the client would send, it falls back to the client."""

import logging
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import UNSIGNED

from asyncinvoke import ConfigurationError, Invoker
from asyncinvoke._transport.client import ClientTransport
from asyncinvoke._transport.direct import DirectTransport
from asyncinvoke._transport.senders import AiohttpSender, SessionSender
from asyncinvoke._transport.session import choose_transport
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.doubles.inside import transport_of

from .test_same_bytes import httpx_on_trio

pytestmark = pytest.mark.anyio

ONCE = AioConfig(retries={"total_max_attempts": 1})


def open_client(endpoint: FaultEndpoint, **config: Any) -> Any:
    place = httpx_on_trio({"region_name": "eu-west-1", "endpoint_url": endpoint.url})
    merged = ONCE.merge(AioConfig(**place.pop("config", {}), **config))
    return AioSession().create_client("lambda", config=merged, **place)


def logged_fallbacks(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "asyncinvoke"]


async def test_the_installed_libraries_have_every_private_name_that_direct_relies_on() -> None:
    """If this fails, all calls use slower transports; see `_transport/http_sessions.py`."""
    async with FaultEndpoint() as endpoint, open_client(endpoint) as client:
        transport = choose_transport(client, "direct")
        assert isinstance(transport, DirectTransport)
        assert transport._wires.ours(endpoint.url) is not None
        session = client._endpoint.http_session
        expected = AiohttpSender if "aiohttp" in repr(session).lower() else SessionSender
        assert isinstance(transport._wires.session, expected)
    async with FaultEndpoint() as endpoint, Invoker(endpoint_url=endpoint.url) as invoker:
        wires = transport_of(invoker)._wires
        assert wires.ours(endpoint.url) is not None
        await invoker.invoke("f")
        assert wires.ours(endpoint.url).open == 1


async def test_without_such_a_name_the_reference_transport_takes_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Without:
        """A client without a private attribute, as of another version of aiobotocore."""

        def __init__(self, client: Any) -> None:
            self.meta, self.exceptions, self.invoke = client.meta, client.exceptions, client.invoke

    with caplog.at_level(logging.DEBUG, logger="asyncinvoke"):
        async with FaultEndpoint() as endpoint, open_client(endpoint) as client:
            transport = choose_transport(Without(client), "direct")
            assert isinstance(transport, ClientTransport)
    assert len(logged_fallbacks(caplog)) == 1


async def test_a_handler_of_the_callers_own_sees_every_request_whenever_it_was_registered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str] = []

    def add_header(request: Any, **_: object) -> None:
        request.headers["x-own"] = "1"
        seen.append(request.url)

    with caplog.at_level(logging.DEBUG, logger="asyncinvoke"):
        async with FaultEndpoint() as endpoint, open_client(endpoint) as client:
            async with Invoker(client) as invoker:
                await invoker.invoke("f")
                assert logged_fallbacks(caplog) == []
                client.meta.events.register("before-sign.lambda.Invoke", add_header)
                await invoker.invoke("f")
                await invoker.invoke("f")
                client.meta.events.unregister("before-sign.lambda.Invoke", add_header)
                await invoker.invoke("f")
            own = [request.headers.get("x-own") for request in endpoint.requests("f")]
    assert own == [None, "1", "1", None]
    assert len(seen) == 2
    assert len(logged_fallbacks(caplog)) == 1


async def test_an_unsigned_client_stays_unsigned(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="asyncinvoke"):
        async with (
            FaultEndpoint() as endpoint,
            open_client(endpoint, signature_version=UNSIGNED) as client,
            Invoker(client) as invoker,
        ):
            for _ in range(3):
                await invoker.invoke("f")
            assert {"authorization" in r.headers for r in endpoint.requests("f")} == {False}
    assert len(logged_fallbacks(caplog)) <= 1


async def test_the_reference_transport_can_be_asked_for() -> None:
    async with (
        FaultEndpoint() as endpoint,
        Invoker(endpoint_url=endpoint.url, transport="client") as invoker,
    ):
        assert isinstance(transport_of(invoker), ClientTransport)
    with pytest.raises(ConfigurationError, match="transport 'fast' must be"):
        Invoker(transport="fast")  # type: ignore[arg-type]


async def test_the_handlers_of_a_callers_client_are_as_before_when_the_invoker_closes() -> None:
    async with FaultEndpoint() as endpoint, open_client(endpoint) as client:
        emitter = client.meta.events._emitter._handlers
        before = list(emitter.prefix_search("before-send.lambda.Invoke"))
        async with Invoker(client) as invoker:
            await invoker.invoke("f")
        assert list(emitter.prefix_search("before-send.lambda.Invoke")) == before


async def test_two_invokers_on_one_client_do_not_disturb_each_other_when_one_closes() -> None:
    async with FaultEndpoint() as endpoint, open_client(endpoint) as client:
        async with Invoker(client) as first:
            async with Invoker(client) as second:
                await second.invoke("f", {"n": 1})
            response = await first.invoke("g", {"n": 2})
        assert len(response.attempts) == endpoint.deliveries("g") == 1
        assert [request.payload for request in endpoint.requests("g")] == [b'{"n":2}']
