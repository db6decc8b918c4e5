"""The other clients in the comparison; contestants as in `contestants.py`."""

import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.contestants import FUNCTION, REGION, Drive, Latencies, check, sdk_call, workers
from benchmarks.variants import Variant


@contextlib.asynccontextmanager
async def aioboto3(url: str, variant: Variant) -> AsyncIterator[Drive]:
    """aioboto3, without retries."""
    from aioboto3 import Session  # type: ignore[import-not-found]
    from aiobotocore.config import AioConfig

    config = AioConfig(max_pool_connections=variant.in_flight, retries={"total_max_attempts": 1})
    async with Session().client(
        "lambda", region_name=REGION, endpoint_url=url, config=config
    ) as client:
        yield workers(sdk_call(client), variant)


@contextlib.asynccontextmanager
async def boto3_threads(url: str, variant: Variant) -> AsyncIterator[Drive]:
    """One boto3 client without retries, shared by one thread per place in flight."""
    import boto3
    from botocore.config import Config

    config = Config(max_pool_connections=variant.in_flight, retries={"total_max_attempts": 1})
    client = boto3.client("lambda", region_name=REGION, endpoint_url=url, config=config)

    def call(payload: bytes) -> float:
        began = time.perf_counter()
        body = client.invoke(FunctionName=FUNCTION, Payload=payload)["Payload"].read()
        elapsed = time.perf_counter() - began
        check(body)
        return elapsed

    with ThreadPoolExecutor(variant.in_flight) as pool:

        async def drive(payloads: Iterable[bytes], latencies: Latencies) -> None:
            latencies.extend(pool.map(call, payloads))

        yield drive


@contextlib.asynccontextmanager
async def aws_sdk_lambda(url: str, variant: Variant) -> AsyncIterator[Drive]:
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
        yield workers(call, variant)


@contextlib.asynccontextmanager
async def aiohttp_floor(url: str, variant: Variant) -> AsyncIterator[Drive]:
    """A bare HTTP round trip: constant headers of the same size as AWS's, no signature."""
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
        connector=TCPConnector(limit=variant.in_flight),
        timeout=ClientTimeout(sock_connect=60, sock_read=60),
        skip_auto_headers={"Content-Type"},
        auto_decompress=False,
    ) as session:

        async def call(payload: bytes) -> bytes:
            async with session.post(
                target, headers=headers, data=payload, allow_redirects=False
            ) as answer:
                return await answer.read()

        yield workers(call, variant)
