"""The ways to invoke a function that are compared, each set up as its own manual says.

A contestant is an async context manager over a URL and the number of invocations in flight; it
gives a `Drive`, which invokes once for each payload. Libraries are imported where they are used:
some of them live in an environment of their own.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from benchmarks.canned import BODY

FUNCTION = "work"
REGION = "eu-west-1"

Call: TypeAlias = Callable[[bytes], Awaitable[bytes]]
"""Invokes once and returns the answer's body."""

Latencies: TypeAlias = list[float] | deque[float]
"""How long each invocation took, in seconds."""

Drive: TypeAlias = Callable[[Iterable[bytes], Latencies], Awaitable[None]]
"""Invokes once for each payload and appends how long each invocation took."""

Contestant: TypeAlias = Callable[[str, int], contextlib.AbstractAsyncContextManager[Drive]]
"""Opens a client for a URL and a number of invocations in flight."""


def check(body: bytes) -> None:
    """Raise unless this is the endpoint's answer."""
    if body != BODY:
        raise RuntimeError("the endpoint answered something else")


def workers(call: Call, in_flight: int) -> Drive:
    """Drive a call by so many tasks, each of which takes the next payload when it is done."""

    async def drive(payloads: Iterable[bytes], latencies: Latencies) -> None:
        remaining = iter(payloads)

        async def work() -> None:
            for payload in remaining:
                began = time.perf_counter()
                body = await call(payload)
                latencies.append(time.perf_counter() - began)
                check(body)

        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(work())

    return drive


@contextlib.asynccontextmanager
async def invoke(url: str, in_flight: int, transport: Any = "direct") -> AsyncIterator[Drive]:
    """`Invoker.invoke`, everything on."""
    from asyncinvoke import Invoker

    async with Invoker(
        region_name=REGION, endpoint_url=url, limit=in_flight, transport=transport
    ) as invoker:

        async def call(payload: bytes) -> bytes:
            return (await invoker.invoke(FUNCTION, payload)).payload

        yield workers(call, in_flight)


@contextlib.asynccontextmanager
async def fan_out(url: str, in_flight: int, transport: Any = "direct") -> AsyncIterator[Drive]:
    """`Invoker.map`, everything on."""
    from asyncinvoke import Invoker

    async with Invoker(
        region_name=REGION, endpoint_url=url, limit=in_flight, transport=transport
    ) as invoker:

        async def drive(payloads: Iterable[bytes], latencies: Latencies) -> None:
            async with invoker.map(FUNCTION, payloads) as run:
                async for outcome in run:
                    check(outcome.unwrap().payload)
                    latencies.append(outcome.elapsed)

        yield drive


@contextlib.asynccontextmanager
async def direct_transport(url: str, in_flight: int) -> AsyncIterator[Drive]:
    """The direct transport alone, without limits, history and retries."""
    from asyncinvoke._model.delivery import Progress
    from asyncinvoke._model.response import Reply
    from asyncinvoke._request.parameters import InvokeParameters
    from asyncinvoke._request.target import Target
    from asyncinvoke._transport.choose import open_transport
    from asyncinvoke._transport.session import open_client

    async with open_client(
        session=None,
        region_name=REGION,
        endpoint_url=url,
        config=None,
        max_pool_connections=in_flight,
    ) as client:
        transport = await open_transport(client, "direct")
        parameters = InvokeParameters(target=Target.parse(FUNCTION))

        async def call(payload: bytes) -> bytes:
            answer = await transport.send(parameters, payload, Progress())
            assert isinstance(answer, Reply)
            return answer.payload

        try:
            yield workers(call, in_flight)
        finally:
            await transport.aclose()


@contextlib.asynccontextmanager
async def aiobotocore_call(url: str, in_flight: int) -> AsyncIterator[Call]:
    """Bare aiobotocore, its retries off as an invoker's are."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    config = AioConfig(max_pool_connections=in_flight, retries={"total_max_attempts": 1})
    async with get_session().create_client(
        "lambda", region_name=REGION, endpoint_url=url, config=config
    ) as client:
        yield _sdk_call(client)


@contextlib.asynccontextmanager
async def aiobotocore(url: str, in_flight: int) -> AsyncIterator[Drive]:
    """Bare aiobotocore in a loop of workers."""
    async with aiobotocore_call(url, in_flight) as call:
        yield workers(call, in_flight)


@contextlib.asynccontextmanager
async def aioboto3(url: str, in_flight: int) -> AsyncIterator[Drive]:
    """aioboto3, its retries off."""
    from aioboto3 import Session  # type: ignore[import-not-found]
    from aiobotocore.config import AioConfig

    config = AioConfig(max_pool_connections=in_flight, retries={"total_max_attempts": 1})
    async with Session().client(
        "lambda", region_name=REGION, endpoint_url=url, config=config
    ) as client:
        yield workers(_sdk_call(client), in_flight)


def _sdk_call(client: Any) -> Call:
    async def call(payload: bytes) -> bytes:
        answer = await client.invoke(FunctionName=FUNCTION, Payload=payload)
        async with answer["Payload"] as body:
            content: bytes = await body.read()
            return content

    return call


@contextlib.asynccontextmanager
async def boto3_threads(url: str, in_flight: int) -> AsyncIterator[Drive]:
    """One boto3 client, its retries off, shared by as many threads as may be in flight."""
    import boto3
    from botocore.config import Config

    config = Config(max_pool_connections=in_flight, retries={"total_max_attempts": 1})
    client = boto3.client("lambda", region_name=REGION, endpoint_url=url, config=config)

    def call(payload: bytes) -> float:
        began = time.perf_counter()
        body = client.invoke(FunctionName=FUNCTION, Payload=payload)["Payload"].read()
        elapsed = time.perf_counter() - began
        check(body)
        return elapsed

    with ThreadPoolExecutor(in_flight) as pool:

        async def drive(payloads: Iterable[bytes], latencies: Latencies) -> None:
            latencies.extend(pool.map(call, payloads))

        yield drive


@contextlib.asynccontextmanager
async def aws_sdk_lambda(url: str, in_flight: int) -> AsyncIterator[Drive]:
    """AWS's own async SDK for Lambda, which needs Python 3.12."""
    from aws_sdk_lambda.client import AsyncLambdaClient  # type: ignore[import-not-found]
    from aws_sdk_lambda.config import AsyncLambdaConfig  # type: ignore[import-not-found]
    from aws_sdk_lambda.models import InvokeInput  # type: ignore[import-not-found]
    from smithy_aws_core.identity.environment import EnvironmentCredentialsResolver  # type: ignore[import-not-found]

    client = AsyncLambdaClient(
        await AsyncLambdaConfig.resolve(
            region=REGION,
            endpoint_uri=url,
            max_attempts=1,
            aws_credentials_identity_resolver=EnvironmentCredentialsResolver(),
        )
    )

    async def call(payload: bytes) -> bytes:
        answer = await client.invoke(InvokeInput(function_name=FUNCTION, payload=payload))
        return bytes(answer.payload)

    async with client:
        yield workers(call, in_flight)


@contextlib.asynccontextmanager
async def aiohttp_floor(url: str, in_flight: int) -> AsyncIterator[Drive]:
    """The bare HTTP round trip: constant headers of the size that AWS wants, no signature."""
    # In a process as small as aiohttp alone, malloc returns asyncio's read buffer to the kernel
    # each time, which takes 15 µs. With aiobotocore loaded it does not, as for the other clients.
    import aiobotocore.session  # noqa: F401
    from aiohttp import ClientSession, ClientTimeout, TCPConnector
    from yarl import URL

    target = URL(f"{url}/2015-03-31/functions/{FUNCTION}/invocations")
    headers = {
        "X-Amz-Invocation-Type": "RequestResponse",
        "User-Agent": "benchmark" * 12,
        "X-Amz-Date": "20300101T000000Z",
        "X-Amz-Content-SHA256": "0" * 64,
        "Authorization": "AWS4-HMAC-SHA256 " + "0" * 200,
        "amz-sdk-invocation-id": "0" * 36,
        "amz-sdk-request": "attempt=1",
        "Accept-Encoding": "identity",
    }
    # The session's options are aiobotocore's.
    async with ClientSession(
        connector=TCPConnector(limit=in_flight),
        timeout=ClientTimeout(sock_connect=60, sock_read=60),
        skip_auto_headers={"Content-Type"},
        auto_decompress=False,
    ) as session:

        async def call(payload: bytes) -> bytes:
            async with session.post(
                target, headers=headers, data=payload, allow_redirects=False
            ) as answer:
                return await answer.read()

        yield workers(call, in_flight)
