"""Over real sockets, in every variant: the status line decides; nothing is decoded or followed."""

import contextlib
import gzip
import itertools
import zlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from asyncinvoke import (
    Delivery,
    FixedLimit,
    InvocationError,
    Invoker,
    RejectedError,
    ServiceError,
    ThrottledError,
    TransportError,
)
from asyncinvoke.local import Answer, Stall, Streamed, stream
from asyncinvoke.testing import InstantClock
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.transport.test_answers import BODIES
from tests.transport.variants import every_variant, open_client

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def open_invoker(url: str, variant: str, **options: Any) -> AsyncIterator[Invoker]:
    async with open_client(url, variant) as client:
        transport: Any = "client" if variant == "client" else "direct"
        async with Invoker(
            client, transport=transport, clock=InstantClock(), limit=FixedLimit(9), **options
        ) as invoker:
            yield invoker


@every_variant
async def test_whatever_the_body_is_a_429_is_a_throttle_a_4xx_a_refusal_and_a_5xx_lambdas_failure(
    variant: str,
) -> None:
    kinds = {429: (ThrottledError, 3), 403: (RejectedError, 1), 500: (ServiceError, 1)}
    async with FaultEndpoint() as endpoint, open_invoker(endpoint.url, variant) as invoker:
        for number, body in enumerate(BODIES.values()):
            for status, (kind, attempts) in kinds.items():
                name = f"f{number}-{status}"
                answer = Answer(status_code=status, payload=body)
                endpoint.script(name, *[answer] * attempts)
                with pytest.raises(InvocationError) as raised:
                    await invoker.invoke(name)
                assert type(raised.value) is kind
                assert raised.value.status_code == status
                assert raised.value.request_id is not None
                assert endpoint.deliveries(name) == len(raised.value.attempts) == attempts


@every_variant
async def test_a_refused_stream_fails_as_a_call_would(variant: str) -> None:
    async with FaultEndpoint() as endpoint, open_invoker(endpoint.url, variant) as invoker:
        for number, body in enumerate(BODIES.values()):
            name = f"f{number}"
            endpoint.script(name, Answer(status_code=403, payload=body))
            with pytest.raises(RejectedError) as raised:
                async with invoker.stream(name):
                    pass
            assert raised.value.status_code == 403
            assert endpoint.deliveries(name) == 1


@every_variant
async def test_a_stream_is_accepted_by_200_alone(variant: str) -> None:
    async with FaultEndpoint() as endpoint, open_invoker(endpoint.url, variant) as invoker:
        for status in (201, 202, 204):
            endpoint.script("f", Answer(status_code=status, payload=b""))
            with pytest.raises(TransportError) as raised:
                async with invoker.stream("f"):
                    pass
            assert (raised.value.status_code, raised.value.delivery) == (status, "unknown")
        assert endpoint.deliveries("f") == 3


@every_variant
async def test_an_event_is_accepted_by_202_alone_a_dry_run_by_204_and_a_call_by_200(
    variant: str,
) -> None:
    success = {"RequestResponse": 200, "Event": 202, "DryRun": 204}
    async with FaultEndpoint() as endpoint, open_invoker(endpoint.url, variant) as invoker:
        for status, (kind, accepted) in itertools.product(
            (200, 201, 202, 204, 206, 300, 304), success.items()
        ):
            name = f"{kind}-{status}"
            body = b"" if status in (204, 304) else b"<html>Sign in</html>"
            answer = Answer(status_code=status, payload=body)
            endpoint.script(name, answer, answer, answer)
            options: dict[str, Any] = {"invocation_type": kind}
            if status == accepted:
                assert (await invoker.invoke(name, **options)).status_code == status
                continue
            with pytest.raises(TransportError) as raised:
                await invoker.invoke(name, **options)
            assert (raised.value.code, raised.value.status_code) == ("UnexpectedStatus", status)
            assert raised.value.delivery is Delivery.UNKNOWN
            # A dry run may be repeated whatever happened.
            assert endpoint.deliveries(name) == (3 if kind == "DryRun" else 1)


@every_variant
@pytest.mark.parametrize("status", [301, 303, 308])
async def test_a_redirect_is_never_followed_by_a_client_of_the_callers_own(
    status: int, variant: str
) -> None:
    async with FaultEndpoint() as endpoint, open_invoker(endpoint.url, variant) as invoker:
        elsewhere = f"{endpoint.url}/2015-03-31/functions/g/invocations"
        answer = Answer(status_code=status, payload=b"", headers={"Location": elsewhere})
        endpoint.script("f", answer, answer)
        # A redirecting server has not accepted the request; after a 303 it has.
        refused = TransportError if status == 303 else RejectedError
        with pytest.raises(refused) as raised:
            await invoker.invoke("f", {"n": 1})
        assert raised.value.status_code == status
        with pytest.raises(refused):
            async with invoker.stream("f"):
                pass
        assert (endpoint.deliveries("f"), endpoint.deliveries("g")) == (2, 0)


@every_variant
async def test_the_callers_own_client_still_follows_redirects_where_the_caller_uses_it(
    variant: str, anyio_backend: str
) -> None:
    if anyio_backend == "trio":
        return  # httpx never does
    async with FaultEndpoint() as endpoint, open_invoker(endpoint.url, variant) as invoker:
        await invoker.invoke("h")
        elsewhere = f"{endpoint.url}/2015-03-31/functions/g/invocations"
        answer = Answer(status_code=307, payload=b"", headers={"Location": elsewhere})
        endpoint.script("f", answer)
        client: Any = invoker._opening.client
        await client.invoke(FunctionName="f")
        assert endpoint.deliveries("g") == 1


@every_variant
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_no_content_encoding_is_decoded(coding: str, variant: str) -> None:
    plain = b'"' + b"x" * 100_000 + b'"'
    sent = {"gzip": gzip.compress(plain), "deflate": zlib.compress(plain)}[coding]
    headers = {"Content-Encoding": coding}
    async with FaultEndpoint() as endpoint, open_invoker(endpoint.url, variant) as invoker:
        endpoint.script("f", Answer(payload=sent, headers=headers))
        assert (await invoker.invoke("f")).payload == sent
        refusal = Answer(status_code=404, payload=sent, headers=headers)
        endpoint.script("f", refusal)
        with pytest.raises(RejectedError):
            await invoker.invoke("f")
        frames = stream(b"one", b"two")
        assert isinstance(frames, Streamed)
        endpoint.script("f", Streamed(frames=frames.frames, headers=headers))
        async with invoker.stream("f") as chunks:
            assert [chunk async for chunk in chunks] == [b"one", b"two"]
        asked = {request.headers["accept-encoding"] for request in endpoint.requests("f")}
    assert asked == {"identity"}


@every_variant
async def test_an_answer_longer_than_any_of_lambdas_is_not_read_to_its_end(variant: str) -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n" + b"x" * 7_000_000
    async with FaultEndpoint() as endpoint, open_invoker(endpoint.url, variant) as invoker:
        endpoint.script("f", Stall(sent=endless))
        with anyio.fail_after(30), pytest.raises(TransportError) as raised:
            await invoker.invoke("f")
        assert (raised.value.code, raised.value.delivery) == ("InvalidAnswer", Delivery.UNKNOWN)
        longest = b'"' + b"x" * 6_291_554 + b'"'
        endpoint.script("f", Answer(payload=longest))
        assert (await invoker.invoke("f")).payload == longest


@every_variant
async def test_a_call_whose_invoker_is_closed_ends_with_its_true_phase(variant: str) -> None:
    ended: list[InvocationError] = []

    async def call(invoker: Invoker) -> None:
        try:
            await invoker.invoke("f")
        except InvocationError as error:
            ended.append(error)

    async with FaultEndpoint() as endpoint, anyio.create_task_group() as group:
        endpoint.script("f", Stall())
        async with open_invoker(endpoint.url, variant) as invoker:
            group.start_soon(call, invoker)
            while not endpoint.requests("f"):
                await anyio.sleep(0.001)
    (error,) = ended
    assert (error.code, error.delivery) == ("InvokerClosed", Delivery.UNKNOWN)
    assert endpoint.deliveries("f") == 1
