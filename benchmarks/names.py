"""What a call costs by the number of names in use: waiting tenants, functions, client contexts.

A map whose items all wait at once for 32 permits uses a number of tenants in turn; also after Lambda
has rejected one call with `CallerRateLimitExceeded`, and with functions, client contexts and durable
executions. Each has a separate process. The table has CPU time, elapsed time, and the Python function
calls per call, which other programs on the machine do not disturb. Ratios compare with one name, in
the same round. For tenants they should be 1.5 at most.
"""

import asyncio
import cProfile
import json
import math
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from benchmarks.canned import CannedEndpoint
from benchmarks.child import Child
from benchmarks.command import Benchmark, add_only, containing
from benchmarks.contestants import FUNCTION, open_invoker
from benchmarks.process import memory
from benchmarks.rounds import interleaved, machine, ratios, spread
from benchmarks.tables import figure, table
from benchmarks.variants import Variant

COUNTS = (1, 100, 1000, 10_000)
WAITING, THROTTLED = "tenants that wait", "tenants, after a CallerRateLimitExceeded"
KINDS = (WAITING, THROTTLED, "functions", "client contexts", "durable executions")
AT_MOST = {WAITING: 1.5, THROTTLED: 1.5}
VARIANT = Variant()


def measure(options: Namespace) -> dict[str, Any]:
    """Run a map for each kind of name and number of names."""
    counts = [count for count in COUNTS if count <= options.items]
    kinds: dict[str, Any] = {}
    for kind in containing(options.only, KINDS):
        found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
        for count in interleaved([str(count) for count in counts], options.rounds):
            # Calls are the same each time, and to count them takes twice the time.
            first = not found[int(count)]
            found[int(count)].append(_run(kind, int(count), options.items, count_calls=first))
        kinds[kind] = {
            str(count): {
                **{
                    metric: spread([each[metric] for each in runs])
                    for metric in ("cpu", "wall", "memory")
                },
                "cpu_ratio": ratios([each["cpu"] for each in runs], [each["cpu"] for each in one]),
                "calls": runs[0]["calls"],
                "calls_ratio": runs[0]["calls"] / one[0]["calls"],
            }
            for one in (found[1],)
            for count, runs in found.items()
        }
    return {
        "machine": machine(),
        "rounds": options.rounds,
        "items": options.items,
        "kinds": kinds,
        "missed": [
            kind
            for kind in kinds
            if kinds[kind][str(counts[-1])]["cpu_ratio"]["median"] > AT_MOST.get(kind, math.inf)
        ],
    }


def _run(kind: str, names: int, items: int, *, count_calls: bool) -> dict[str, float]:
    with (
        CannedEndpoint() as endpoint,
        Child("names", "--serve", kind, endpoint.url) as child,
    ):
        child.ask(names=1, items=VARIANT.in_flight, count_calls=False)
        if kind == THROTTLED:
            endpoint.throttle(1)
        ran = child.ask(names=names, items=items, count_calls=False)
        calls = 0
        if count_calls:
            calls = child.ask(names=names, items=items, count_calls=True)["calls"]
    return {
        "cpu": ran["cpu"] / items,
        "wall": ran["wall"] / items,
        "calls": calls / items,
        "memory": ran["memory"],
    }


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        [
            kind,
            f"{int(count):,}",
            figure(each["cpu"], scale=1e6),
            figure(each["cpu_ratio"], digits=2),
            figure(each["wall"], scale=1e6),
            f"{each['calls']:,.0f}",
            f"{each['calls_ratio']:.2f}",
            f"{each['memory']['median'] / 2**20:.1f}",
        ]
        for kind, by_count in found["kinds"].items()
        for count, each in by_count.items()
    ]
    headings = ["names", "how many", "CPU per call, µs", "ratio to one", "time per call, µs"]
    headings += ["calls per call", "ratio to one", "memory grows by, MiB"]
    bounds = "; ".join(
        f"{kind}: {'missed' if kind in found['missed'] else 'kept'}"
        for kind in found["kinds"]
        if kind in AT_MOST
    )
    return (
        f"{table(headings, rows)}\n\n{found['items']:,} items wait at once for "
        f"{VARIANT.in_flight} permits; medians of {found['rounds']} rounds, lowest and highest in "
        f"brackets. The bound of 1.5 for CPU at most names: {bounds}. {found['machine']}."
    )


def _items(kind: str, names: int, items: int) -> Iterator[Any]:
    from asyncinvoke import Request

    for number in range(items):
        name = number % names
        if kind in (WAITING, THROTTLED):
            yield Request(payload=b"{}", tenant_id=f"tenant-{name}")
        elif kind == "functions":
            yield Request(payload=b"{}", function_name=f"{FUNCTION}-{name}")
        elif kind == "client contexts":
            yield Request(payload=b"{}", client_context={"number": name})
        else:
            yield Request(payload=b"{}", durable_execution_name=f"order-{name}")


async def _serve(kind: str, url: str) -> None:
    async with open_invoker(url, VARIANT) as invoker:
        for line in sys.stdin:
            asked = json.loads(line)
            items = list(_items(kind, asked["names"], asked["items"]))
            profile = cProfile.Profile(builtins=False)
            resident = memory("VmRSS")
            began, cpu_began = time.perf_counter(), time.process_time()
            if asked["count_calls"]:
                profile.enable()
            async with invoker.map(FUNCTION, items, concurrency=len(items)) as run:
                async for outcome in run:
                    outcome.unwrap()
            profile.disable()
            ran = {
                "cpu": time.process_time() - cpu_began,
                "wall": time.perf_counter() - began,
                "memory": memory("VmRSS") - resident,
                "calls": sum(entry.callcount for entry in profile.getstats()),
            }
            print(json.dumps(ran), flush=True)


BENCHMARK = Benchmark(
    name="names",
    description=__doc__,
    numbers={"rounds": (3, "how often"), "items": (10_000, "calls, and the most names")},
    measure=measure,
    show=show,
    add_options=add_only,
)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(_serve(*sys.argv[2:4]))
    else:
        BENCHMARK.main()
