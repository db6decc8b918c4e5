"""What failed and abandoned calls leave behind: memory, garbage and time of each.

A hundred thousand calls with a payload of 1 KB fail in each of several ways, with 32 in flight and no
retries. Then a million items of a map time out: one call of a function that never answers holds the
only permit, and each item waits for it until its timeout. Each way has a separate process. Memory is
resident memory before and after; a fifth of the calls is made before, to fill the caches. Garbage is
what only the garbage collector finds, counted over a tenth of the calls.
"""

import asyncio
import gc
import itertools
import json
import sys
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.canned import CannedEndpoint
from benchmarks.canned_answers import BROKEN, CUT, FAILED, HUNG, REFUSED
from benchmarks.child import Child
from benchmarks.command import Benchmark, add_only, containing
from benchmarks.contestants import REGION
from benchmarks.process import memory
from benchmarks.rounds import machine
from benchmarks.running import together
from benchmarks.tables import table

IN_FLIGHT = 32
WAITING = 1000
SHORT = 0.005
"""The timeout of calls that give up, in seconds."""

PAYLOAD = 1000
GIVES_UP, ITEMS = "cancelled by its caller", "items that give up"
WAYS = {
    "works": "a call that succeeds, to compare with",
    REFUSED: "no such function (404)",
    FAILED: "the function fails",
    BROKEN: "Lambda fails (500)",
    CUT: "the connection is closed without an answer",
    HUNG: "its timeout passes while the function runs",
    GIVES_UP: "its caller cancels it while the function runs",
    ITEMS: "an item of a map, its timeout passes while it waits",
}


def measure(options: Namespace) -> dict[str, Any]:
    """Measure each way of failing."""
    ways = {}
    with CannedEndpoint() as endpoint:
        for way in containing(options.only, WAYS):
            ways[way] = _fail(way, endpoint.url, options)
    return {"machine": machine(), "payload": PAYLOAD, "in_flight": IN_FLIGHT, "ways": ways}


def _fail(way: str, url: str, options: Namespace) -> dict[str, Any]:
    count = options.items if way == ITEMS else options.count
    few = max(count // 10, 1)
    with Child("failures", "--serve", way, url) as child:
        before = child.ask(count=2 * few)
        after = child.ask(count=count)
        garbage = child.ask(count=few, without_collector=True)["garbage"]
    return {
        "count": count,
        "before": before["resident"],
        "after": after["resident"],
        "memory_of_one": (after["resident"] - before["resident"]) / count,
        "garbage_of_one": garbage / few,
        "cpu": after["cpu"] / count,
        "wall": after["wall"] / count,
    }


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        [
            WAYS[way],
            f"{each['count']:,}",
            f"{each['before'] / 2**20:.1f}",
            f"{each['after'] / 2**20:.1f}",
            f"{each['memory_of_one']:.1f}",
            f"{each['garbage_of_one']:.2f}",
            f"{each['cpu'] * 1e6:.0f}",
            f"{each['wall'] * 1e6:.0f}",
        ]
        for way, each in found["ways"].items()
    ]
    headings = ["how a call ends", "calls", "MiB before", "MiB after", "bytes each"]
    headings += ["garbage each, objects", "CPU each, µs", "time each, µs"]
    return (
        f"{table(headings, rows)}\n\nPayloads of {found['payload']} bytes; {found['in_flight']} in "
        f"flight, and {WAITING} items that wait. {found['machine']}."
    )


async def _serve(way: str, url: str) -> None:
    from asyncinvoke import FixedLimit, Invoker, RetryPolicy

    limit = FixedLimit(1 if way == ITEMS else IN_FLIGHT)
    async with Invoker(
        region_name=REGION, endpoint_url=url, limit=limit, retry=RetryPolicy.never()
    ) as invoker:
        make = _items(invoker) if way == ITEMS else _calls(invoker, way)
        async with asyncio.TaskGroup() as group:
            if way == ITEMS:
                hanging = group.create_task(invoker.invoke(HUNG))
                await asyncio.sleep(0.2)
            for line in sys.stdin:
                print(json.dumps(await _measured(make, **json.loads(line))), flush=True)
            if way == ITEMS:
                hanging.cancel()


async def _measured(
    make: Callable[[int], Awaitable[None]], count: int, *, without_collector: bool = False
) -> dict[str, Any]:
    gc.collect()
    if without_collector:
        gc.disable()
    began, cpu_began = time.perf_counter(), time.process_time()
    await make(count)
    cpu, wall = time.process_time() - cpu_began, time.perf_counter() - began
    garbage = gc.collect()
    gc.enable()
    return {"cpu": cpu, "wall": wall, "garbage": garbage, "resident": memory("VmRSS")}


def _calls(invoker: Any, way: str) -> Callable[[int], Awaitable[None]]:
    from asyncinvoke.errors import InvocationError

    name = HUNG if way == GIVES_UP else way
    timeout = SHORT if way == HUNG else None

    async def make(count: int) -> None:
        numbers = iter(range(count))

        async def work() -> None:
            for number in numbers:
                payload = b'"%0*d"' % (PAYLOAD - 2, number)
                if way == GIVES_UP:
                    try:
                        async with asyncio.timeout(SHORT):
                            await invoker.invoke(name, payload)
                    except TimeoutError:
                        continue
                try:
                    await invoker.invoke(name, payload, timeout=timeout)
                except InvocationError:
                    continue
                if way != "works":
                    raise RuntimeError("a call succeeded that was to fail")

        await together("asyncio", work, IN_FLIGHT)

    return make


def _items(invoker: Any) -> Callable[[int], Awaitable[None]]:
    from asyncinvoke.errors import DeadlineExceededError

    async def make(count: int) -> None:
        payloads = (b'"%0*d"' % (PAYLOAD - 2, number) for number in itertools.count())
        run = invoker.map(
            "work", itertools.islice(payloads, count), concurrency=WAITING, timeout=SHORT
        )
        ended = 0
        async with run as outcomes:
            async for outcome in outcomes:
                if type(outcome.error) is not DeadlineExceededError:
                    raise RuntimeError(f"an item did not give up, but: {outcome.error}")
                ended += 1
        if ended != count:
            raise RuntimeError(f"{ended} of {count} items have ended")

    return make


BENCHMARK = Benchmark(
    name="failures",
    description=__doc__,
    numbers={
        "count": (100_000, "calls that fail in each way"),
        "items": (1_000_000, "items of a map that give up"),
    },
    measure=measure,
    show=show,
    add_options=add_only,
)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(_serve(*sys.argv[2:4]))
    else:
        BENCHMARK.main()
