"""A bulk run: many payloads, one outcome each, whatever happens to any of them."""

import os
from collections import Counter
from collections.abc import Iterator

import anyio

import asyncinvoke
from asyncinvoke.local import LocalLambda

# Against AWS, leave this out: the local endpoint accepts any keys, but the SDK needs some to sign with.
os.environ |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


async def parse(event: str, _context: object) -> int:
    """Stand in for a deployed function."""
    return int(event)


def payloads() -> Iterator[str]:
    """Read lazily: this could as well be a file of a million lines."""
    for number in range(1000):
        yield "not a number" if number % 100 == 99 else str(number)


async def main() -> None:
    async with LocalLambda() as local:
        local.function("parse", parse)
        total, errors = 0, Counter[str]()
        async with (
            asyncinvoke.Invoker(region_name="us-east-1", endpoint_url=local.url) as invoker,
            invoker.map("parse", payloads(), concurrency=50) as run,
        ):
            async for outcome in run:
                if outcome.response is not None:
                    total += outcome.response.json()
                else:
                    errors[type(outcome.error).__name__] += 1
        print("sum:", total)
        print("failed:", dict(errors))


anyio.run(main)
