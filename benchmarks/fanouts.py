"""Common ways to invoke a function once for each of many payloads with another client."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable

from benchmarks.contestants import Drive, Latencies, aiobotocore_call, check
from benchmarks.variants import Variant


@contextlib.asynccontextmanager
async def gather(url: str, variant: Variant) -> AsyncIterator[Drive]:
    """`asyncio.gather` over bare aiobotocore, with a semaphore."""
    async with aiobotocore_call(url, variant) as call:

        async def drive(payloads: Iterable[bytes], latencies: Latencies) -> None:
            semaphore = asyncio.Semaphore(variant.in_flight)

            async def one(payload: bytes) -> bytes:
                async with semaphore:
                    began = time.perf_counter()
                    body = await call(payload)
                    latencies.append(time.perf_counter() - began)
                    return body

            for body in await asyncio.gather(*(one(payload) for payload in payloads)):
                check(body)

        yield drive


@contextlib.asynccontextmanager
async def aiometer(url: str, variant: Variant) -> AsyncIterator[Drive]:
    """`aiometer.amap` over bare aiobotocore."""
    import aiometer

    async with aiobotocore_call(url, variant) as call:

        async def drive(payloads: Iterable[bytes], latencies: Latencies) -> None:
            async def one(payload: bytes) -> bytes:
                began = time.perf_counter()
                body = await call(payload)
                latencies.append(time.perf_counter() - began)
                return body

            # aiometer wants to know how many there are.
            async with aiometer.amap(one, list(payloads), max_at_once=variant.in_flight) as bodies:
                async for body in bodies:
                    check(body)

        yield drive
