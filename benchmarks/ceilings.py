"""How close asyncinvoke stays to limits that are constant, change, or are shared.

Each line is one kind of limit, at an endpoint in a separate process. `ideal` is what the limit allows
without pauses and network; `knowing` is a `FixedLimit` with the right value, in the same round. Two
processes: the second starts 2 s after the first, and fairness is Jain's index of the work that each
completes in the 15 s that begin 3 s later; the function takes 0.09 to 0.11 s, and in a second line
always 0.1 s. Calm: the median latency of a function beside a hog, which has a reserve of 2 and 200
items waiting, divided by its latency alone.
"""

import argparse
import asyncio
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from asyncinvoke import AdaptiveLimit, FixedLimit, Invoker
from benchmarks.child import CHECKOUT
from benchmarks.command import Benchmark
from benchmarks.endpoint import CALM, FUNCTION, Endpoint
from benchmarks.rounds import Spread, machine, spread
from benchmarks.tables import figure, table
from benchmarks.throttled import use_test_credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """A limit, the requested concurrency, and the goals."""

    endpoint: Mapping[str, Any]
    items: int
    ideal: float
    """Seconds."""
    asked: int = 200
    knows: int | None = None
    """The limit that a client would be told."""
    makespan: float = 0.0
    throttled: float = 0.0
    """The goals: at most."""


# A function of 0.1 s, so a limit of n allows 10 n a second.
CEILINGS = {
    "50, asked 200": Ceiling(
        endpoint={"account": 50}, items=3000, ideal=6.0, knows=50, makespan=1.05, throttled=0.01
    ),
    "50, asked 1,000": Ceiling(
        endpoint={"account": 50},
        items=3000,
        ideal=6.0,
        asked=1000,
        knows=50,
        makespan=1.05,
        throttled=0.01,
    ),
    "reserved 20": Ceiling(
        endpoint={"reserved": 20}, items=1200, ideal=6.0, knows=20, makespan=1.05, throttled=0.01
    ),
    "20, after 5 s 80": Ceiling(
        endpoint={"account": 20, "moves": ((5.0, 80),)}, items=3000, ideal=7.5, makespan=1.2
    ),
    "80, after 2 s 20": Ceiling(
        endpoint={"account": 80, "moves": ((2.0, 20),)}, items=3000, ideal=9.0, makespan=1.2
    ),
    "100 a second": Ceiling(
        endpoint={"rate": 100}, items=1500, ideal=15.0, makespan=1.2, throttled=0.1
    ),
}


async def makespan(url: str, limit: int | FixedLimit | AdaptiveLimit, items: int) -> float:
    """Run a map; return its duration in seconds."""
    async with Invoker(endpoint_url=url, limit=limit) as invoker:
        began = time.monotonic()
        async with invoker.map(FUNCTION, range(items)) as run:
            async for outcome in run:
                outcome.unwrap()
        return time.monotonic() - began


def once(ceiling: Ceiling) -> dict[str, float]:
    """Measure one ceiling."""
    with Endpoint(**ceiling.endpoint) as endpoint:
        took = asyncio.run(makespan(endpoint.url, ceiling.asked, ceiling.items))
        counts = endpoint.counts()
    if counts["executions"] != ceiling.items or counts["repeated"]:
        raise RuntimeError(f"{ceiling.items} items were {counts['executions']} executions")
    found = {"makespan": took / ceiling.ideal, "throttled": counts["throttled"] / ceiling.items}
    if ceiling.knows is not None:
        with Endpoint(**ceiling.endpoint) as endpoint:
            told = asyncio.run(makespan(endpoint.url, FixedLimit(ceiling.knows), ceiling.items))
        found["knowing"] = took / told
    return found


async def work_and_tell(url: str) -> None:
    """Invoke endlessly; for each line of standard input, print the number of successes so far."""
    done = 0
    async with Invoker(endpoint_url=url, limit=200) as invoker, anyio.create_task_group() as group:

        async def count() -> None:
            nonlocal done
            async with invoker.map(FUNCTION, itertools.count()) as run:
                async for outcome in run:
                    done += outcome.ok

        group.start_soon(count)
        while await anyio.to_thread.run_sync(sys.stdin.readline):
            print(done, flush=True)
        group.cancel_scope.cancel()


SHARED = {"two processes on 50": 0.1, "the same, 0.1 s always": 0.0}
"""By how much the function's time varies where two processes share a limit."""

SETTLES = 5.0
"""Seconds from the second process's start until counting begins: 50 round trips."""

COUNTED = 15.0
"""Seconds of counting."""


def two_processes(*, spread: float) -> dict[str, float]:
    """Start a second process beside a first, and later compare the work of both."""
    command = [sys.executable, "-m", "benchmarks.ceilings", "--client"]
    clients: list[subprocess.Popen[str]] = []
    with Endpoint(account=50, spread=spread) as endpoint:
        for _ in range(2):
            clients.append(
                subprocess.Popen(
                    [*command, endpoint.url],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    bufsize=1,
                    cwd=CHECKOUT,
                )
            )
            time.sleep(2)
        time.sleep(SETTLES - 2)
        before = [_ask(client) for client in clients]
        time.sleep(COUNTED)
        done = [_ask(client) - was for client, was in zip(clients, before, strict=True)]
        counts = endpoint.counts()
        for client in clients:
            client.communicate()
    fair = sum(done) ** 2 / (2 * sum(each * each for each in done))
    return {
        "makespan": COUNTED * 500 / sum(done),
        "fairness": fair,
        "throttled": counts["throttled"] / counts["executions"],
    }


def _ask(client: "subprocess.Popen[str]") -> int:
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write("\n")
    return int(client.stdout.readline())


async def calm_latency(url: str, *, beside_a_hog: bool) -> float:
    """Return the median latency of the calm function, one call after the other."""
    async with Invoker(endpoint_url=url) as invoker, anyio.create_task_group() as group:

        async def hog() -> None:
            async with invoker.map(FUNCTION, itertools.count(), concurrency=200) as run:
                async for _ in run:
                    pass

        if beside_a_hog:
            group.start_soon(hog)
            await anyio.sleep(0.5)
        took = []
        for number in range(60):
            began = time.monotonic()
            await invoker.invoke(CALM, number)
            took.append(time.monotonic() - began)
        group.cancel_scope.cancel()
    return statistics.median(took)


def calm() -> dict[str, float]:
    """Compare the calm function beside the hog with itself alone."""
    with Endpoint(reserved=2) as endpoint:
        alone = asyncio.run(calm_latency(endpoint.url, beside_a_hog=False))
        beside = asyncio.run(calm_latency(endpoint.url, beside_a_hog=True))
    return {"latency": beside / alone}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything, in interleaved rounds."""
    use_test_credentials()
    runs: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for name, ceiling in CEILINGS.items():
            runs.setdefault(name, []).append(once(ceiling))
        for name, spread_of in SHARED.items():
            runs.setdefault(name, []).append(two_processes(spread=spread_of))
        runs.setdefault("calm beside a hog", []).append(calm())
    return {
        "machine": machine(),
        "ceilings": {
            name: {key: spread([each[key] for each in found]) for key in found[0]}
            for name, found in runs.items()
        },
    }


HEADINGS = ("makespan", "knowing", "throttled", "fairness", "latency")


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    rows = []
    for name, figures in found["ceilings"].items():
        values: dict[str, Spread] = figures
        cells = [
            figure(values[key], digits=3 if key == "throttled" else 2) if key in values else ""
            for key in HEADINGS
        ]
        goal = CEILINGS.get(name)
        said = "" if goal is None else f"{goal.makespan:g}"
        if goal is not None and goal.throttled:
            said += f", {goal.throttled:g}"
        rows.append((name, *cells, said))
    headings = (
        "limit",
        "makespan / ideal",
        "/ knowing",
        "throttled / success",
        "fairness",
        "latency / alone",
        "goals",
    )
    return f"{found['machine']}.\n\n{table(headings, rows)}"


BENCHMARK = Benchmark(
    name="ceilings",
    description=__doc__ or "",
    numbers={"rounds": (3, "runs of each")},
    measure=measure,
    show=show,
)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        asyncio.run(work_and_tell(sys.argv[2]))
    else:
        BENCHMARK.main()
