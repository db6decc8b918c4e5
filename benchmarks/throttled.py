"""One account limit of 50, 200 requested: payloads lost, duration, and throttles.

2,000 payloads go to a function of 0.1 s with 200 in flight, at an endpoint whose account concurrency is
50. `lost` counts the payloads that ended in an error. The makespan is from the first payload to the
last result, with a client that is already open; the ideal one is that of 50 in flight without pauses
and network. The AWS SDK's modes are aiobotocore's, with 200 workers; gather waits with tenacity's
random exponential backoff, for up to 20 attempts.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tenacity
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from asyncinvoke import Invoker, LimitChanged
from asyncinvoke._limits.limit import INITIAL
from asyncinvoke.typing import Event
from benchmarks import plots
from benchmarks.command import Benchmark
from benchmarks.endpoint import FUNCTION, Endpoint
from benchmarks.rounds import Spread, interleaved, machine, spread
from benchmarks.tables import figure, table

ACCOUNT = 50
DURATION = 0.1
IN_FLIGHT = 200

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Ended:
    """How one run ended."""

    lost: int
    """The payloads that ended in an error."""
    makespan: float
    """Seconds from the first payload to the last result."""


Run = Callable[[str, int], Awaitable[Ended]]


async def ours(url: str, items: int) -> Ended:
    lost = 0
    async with Invoker(endpoint_url=url, limit=IN_FLIGHT) as invoker:
        began = time.monotonic()
        async with invoker.map(FUNCTION, range(items)) as run:
            async for outcome in run:
                lost += not outcome.ok
        return Ended(lost, time.monotonic() - began)


def sdk(mode: str, attempts: int | None = None) -> Run:
    async def run(url: str, items: int) -> Ended:
        retries: dict[str, Any] = {"mode": mode}
        if attempts is not None:
            retries["total_max_attempts"] = attempts
        config = AioConfig(max_pool_connections=IN_FLIGHT, retries=retries)
        async with AioSession().create_client("lambda", endpoint_url=url, config=config) as client:
            return await _workers(range(items), lambda item: _invoke(client, item))

    return run


async def gather(url: str, items: int) -> Ended:
    config = AioConfig(max_pool_connections=IN_FLIGHT, retries={"total_max_attempts": 1})
    again = tenacity.retry(
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
        stop=tenacity.stop_after_attempt(20),
        reraise=True,
    )
    slots = asyncio.Semaphore(IN_FLIGHT)
    async with AioSession().create_client("lambda", endpoint_url=url, config=config) as client:

        async def one(item: int) -> None:
            async with slots:
                await again(_invoke)(client, item)

        began = time.monotonic()
        ended = await asyncio.gather(*map(one, range(items)), return_exceptions=True)
        makespan = time.monotonic() - began
    return Ended(sum(isinstance(each, BaseException) for each in ended), makespan)


async def _invoke(client: Any, item: int) -> None:
    answer = await client.invoke(FunctionName=FUNCTION, Payload=str(item).encode())
    await answer["Payload"].read()


async def _workers(items: Iterable[int], invoke: Callable[[int], Awaitable[None]]) -> Ended:
    began = time.monotonic()
    left = iter(items)
    lost = 0

    async def work() -> None:
        nonlocal lost
        for item in left:
            try:
                await invoke(item)
            except ClientError:
                lost += 1

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return Ended(lost, time.monotonic() - began)


CONTESTANTS: dict[str, Run] = {
    "asyncinvoke": ours,
    "botocore standard": sdk("standard"),
    "botocore adaptive": sdk("adaptive"),
    "botocore legacy, 20 attempts": sdk("legacy", 20),
    "gather, semaphore, tenacity": gather,
}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run all contestants in turn, each against a fresh endpoint."""
    use_test_credentials()
    found: dict[str, dict[str, list[float]]] = {
        name: {"lost": [], "makespan": [], "throttled": []} for name in CONTESTANTS
    }
    ideal = options.items * DURATION / ACCOUNT
    for name in interleaved(list(CONTESTANTS), options.rounds):
        with Endpoint(duration=DURATION, account=ACCOUNT) as endpoint:
            ended = asyncio.run(_run(CONTESTANTS[name], endpoint.url, options.items))
            counts = endpoint.counts()
        done = options.items - ended.lost
        if counts["executions"] != done or counts["repeated"]:
            raise RuntimeError(f"{name}: {done} results of {counts['executions']} executions")
        found[name]["lost"].append(ended.lost / options.items)
        found[name]["makespan"].append(ended.makespan / ideal)
        found[name]["throttled"].append(counts["throttled"] / max(done, 1))
    return {
        "machine": machine(),
        "items": options.items,
        "contestants": {
            name: {key: spread(values) for key, values in figures.items()}
            for name, figures in found.items()
        },
    }


async def _run(run: Run, url: str, items: int) -> Ended:
    return await run(url, items)


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    rows = []
    for name, figures in found["contestants"].items():
        values: dict[str, Spread] = figures
        rows.append(
            (
                name,
                figure(values["lost"], scale=100, digits=1),
                figure(values["makespan"], digits=2),
                figure(values["throttled"], digits=3),
            )
        )
    headings = ("", "lost, %", "makespan / ideal", "throttled / success")
    return f"{found['machine']}; {found['items']} payloads.\n\n{table(headings, rows)}"


def plot(_found: dict[str, Any], path: Path) -> None:
    """Plot one run of asyncinvoke: the account's limit and the attempts in flight."""
    use_test_credentials()
    with Endpoint(duration=DURATION, account=ACCOUNT) as endpoint:
        plots.over_time(path, asyncio.run(watch(endpoint.url, 2000)), y_label="attempts in flight")


async def watch(url: str, items: int) -> dict[str, Points]:
    """Run once; return the limit and the attempts in flight over time."""
    began = time.monotonic()
    limits: Points = []
    in_flight: Points = []

    def changed(event: Event) -> None:
        if not isinstance(event, LimitChanged):
            return
        if event.scope == "account" and event.quantity == "concurrency":
            limits.append((time.monotonic() - began, event.after))

    async with Invoker(endpoint_url=url, limit=IN_FLIGHT, hooks=[changed]) as invoker:
        limits.append((0.0, INITIAL))
        async with invoker.map(FUNCTION, range(items)) as run:
            async for _ in run:
                in_flight.append((time.monotonic() - began, invoker.statistics().in_flight))
    return {"limit": limits, "in flight": in_flight}


def use_test_credentials() -> None:
    """Set test credentials; use no metadata service and no proxy."""
    os.environ.update(
        AWS_ACCESS_KEY_ID="test-key",
        AWS_SECRET_ACCESS_KEY="test-secret",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_EC2_METADATA_DISABLED="true",
        no_proxy="127.0.0.1",
    )


BENCHMARK = Benchmark(
    name="throttled",
    description=__doc__ or "",
    numbers={
        "items": (2000, "payloads of each run"),
        "rounds": (3, "runs of each contestant"),
    },
    measure=measure,
    show=show,
    plot=plot,
)

if __name__ == "__main__":
    BENCHMARK.main()
