"""Throttles survived: 40 at once are asked for, and the account allows 5."""

import os

import anyio

import asyncinvoke
from asyncinvoke.local import LocalLambda

# Against AWS, leave this out: the local endpoint accepts any keys, but the SDK needs some to sign with.
os.environ |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


async def work(event: int, _context: object) -> int:
    """Stand in for a deployed function that takes a moment."""
    await anyio.sleep(0.01)
    return event


async def main() -> None:
    async with LocalLambda(account_concurrency=5) as local:
        local.function("work", work)
        async with (
            asyncinvoke.Invoker(region_name="us-east-1", endpoint_url=local.url) as invoker,
            invoker.map("work", range(200), concurrency=40, ordered=True) as run,
        ):
            answers = [outcome.unwrap().json() async for outcome in run]
        throttles = invoker.statistics().throttles
        print("in order and complete:", answers == list(range(200)))
        print("never more than", local.statistics().peak_in_flight, "at once")
        print("throttled because of", ", ".join(throttles))


anyio.run(main)
