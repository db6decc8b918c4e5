"""The ways to read a response stream that are compared; contestants as in `contestants.py`."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator

from benchmarks.contestants import FUNCTION, Drive, aiobotocore_client, open_invoker, workers
from benchmarks.variants import Variant

SIZE_VARIABLE = "BENCHMARK_STREAM_BYTES"
"""Where a worker's environment says how much each stream has to have."""


def _whole(got: bytes) -> None:
    if int(got) != int(os.environ[SIZE_VARIABLE]):
        raise RuntimeError("a stream was shorter or longer than what the endpoint sends")


@contextlib.asynccontextmanager
async def stream(url: str, variant: Variant) -> AsyncIterator[Drive]:
    """`Invoker.stream`, each chunk counted and dropped."""
    async with open_invoker(url, variant) as invoker:

        async def call(payload: bytes) -> bytes:
            size = 0
            async with invoker.stream(FUNCTION, payload) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
            return b"%d" % size

        yield workers(call, variant, _whole)


@contextlib.asynccontextmanager
async def stream_of_core(url: str, variant: Variant) -> AsyncIterator[Drive]:
    """The same as if the extra `streams` were not installed."""
    sys.modules["isal"] = None  # type: ignore[assignment]  # so that it cannot be imported
    async with stream(url, variant) as drive:
        yield drive


@contextlib.asynccontextmanager
async def aiobotocore_stream(url: str, variant: Variant) -> AsyncIterator[Drive]:
    """Bare aiobotocore's `invoke_with_response_stream`, each chunk counted and dropped."""
    async with aiobotocore_client(url, variant) as client:

        async def call(payload: bytes) -> bytes:
            size = 0
            answer = await client.invoke_with_response_stream(
                FunctionName=FUNCTION, Payload=payload
            )
            async for event in answer["EventStream"]:
                if "PayloadChunk" in event:
                    size += len(event["PayloadChunk"]["Payload"])
            return b"%d" % size

        yield workers(call, variant, _whole)
