"""What a journal costs a map, and how long it takes to resume a run.

CPU time is that of the event loop's thread, for items over HTTP against an endpoint on loopback that
answers at once, with 64 in flight, alternately with and without a journal; the time of the writing
thread is reported separately. Items per second are those of a function of 0.1 s with 200 in flight. To
resume a run, every item is read and its digest compared with the recorded one.
"""

import asyncio
import gc
import os
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from benchmarks import made_runs
from benchmarks.canned import CannedEndpoint
from benchmarks.command import Benchmark
from benchmarks.made_runs import payloads
from benchmarks.process import forget_peak, memory
from benchmarks.rounds import interleaved, machine, ratios, spread
from benchmarks.tables import table

IN_FLIGHT = 64
BUSY = 200
FUNCTION_MS = 100


class Cost:
    """The cost of one map."""

    def __init__(self, items: int, began: tuple[float, float, float]) -> None:
        wall, loop, process = (now - then for now, then in zip(clocks(), began, strict=True))
        self.wall = wall / items
        self.loop = loop / items
        self.others = (process - loop) / items


def clocks() -> tuple[float, float, float]:
    return time.perf_counter(), time.thread_time(), time.process_time()


async def one_map(url: str, items: int, in_flight: int, journal: Path | None) -> Cost:
    """Run a map, and keep its journal."""
    from asyncinvoke import Invoker, Journal

    async with Invoker(endpoint_url=url, limit=in_flight) as invoker:
        kept = None if journal is None else Journal(journal, results=False)
        async with invoker.map("work", payloads(in_flight), concurrency=in_flight) as warm:
            async for _ in warm:
                pass
        began = clocks()
        async with invoker.map("work", payloads(items), concurrency=in_flight, journal=kept) as ran:
            async for _ in ran:
                pass
        return Cost(items, began)


def measure(options: Namespace) -> dict[str, Any]:
    """Run all measurements."""
    os.environ.update(
        AWS_ACCESS_KEY_ID="none",
        AWS_SECRET_ACCESS_KEY="none",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_CONFIG_FILE=os.devnull,
        no_proxy="127.0.0.1",
    )
    found: dict[str, Any] = {"machine": machine(), "rounds": options.rounds}
    with tempfile.TemporaryDirectory() as folder:
        found["over_http"] = _over_http(Path(folder), options)
        found["slow_function"] = _slow_function(Path(folder), options)
        found["continued"] = [
            _continued(Path(folder), times * options.continued, keyed=keyed)
            for times, keyed in ((1, False), (1, True), (10, False))
        ]
        found["whole"] = _whole(Path(folder), options.whole)
    return found


def _pairs(url: str, folder: Path, items: int, in_flight: int, rounds: int) -> dict[str, Any]:
    costs: dict[str, list[Cost]] = {"without": [], "with": []}
    size = 0
    for number, name in enumerate(interleaved(tuple(costs), rounds + 1)):
        path = folder / f"{in_flight}-{number}.run" if name == "with" else None
        # The collection of what the map before has left would take as long as hundreds of items.
        gc.collect()
        costs[name].append(asyncio.run(one_map(url, items, in_flight, path)))
        if path is not None:
            size = path.stat().st_size
            path.unlink()
    without, within = (each[1:] for each in costs.values())  # the first round warms everything up
    return {
        "items": items,
        "loop": spread([each.loop for each in without]),
        "loop_with": spread([each.loop for each in within]),
        "ratio": ratios([each.loop for each in within], [each.loop for each in without]),
        "writer": spread(
            [kept.others - plain.others for kept, plain in zip(within, without, strict=True)]
        ),
        "rate": spread([1 / each.wall for each in without]),
        "rate_with": spread([1 / each.wall for each in within]),
        "rate_ratio": ratios([each.wall for each in without], [each.wall for each in within]),
        "bytes_per_item": size / items,
    }


def _over_http(folder: Path, options: Namespace) -> dict[str, Any]:
    with CannedEndpoint() as endpoint:
        return _pairs(endpoint.url, folder, options.items, IN_FLIGHT, options.pairs)


def _slow_function(folder: Path, options: Namespace) -> dict[str, Any]:
    with CannedEndpoint(function_ms=FUNCTION_MS) as endpoint:
        return _pairs(endpoint.url, folder, options.items, BUSY, options.rounds)


def _continued(folder: Path, items: int, *, keyed: bool) -> dict[str, Any]:
    path = folder / f"{items}-{keyed}.run"
    began = time.perf_counter()
    made_runs.make(path, items, keyed=keyed)
    made = time.perf_counter() - began
    forget_peak()
    before, cpu, began = memory("VmHWM"), time.process_time(), time.perf_counter()
    asyncio.run(made_runs.run(path, items, keyed=keyed))
    found = {
        "items": items,
        "keyed": keyed,
        "made": made,
        "bytes_per_item": path.stat().st_size / items,
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "growth": max(0, memory("VmHWM") - before),
    }
    path.unlink()
    return found


def _whole(folder: Path, items: int) -> dict[str, Any]:
    """Record a whole run, and read the process's memory ten times during it."""
    from asyncinvoke import Invoker, Journal

    path = folder / "whole.run"
    weights: list[int] = []

    async def whole() -> None:
        async with Invoker(transport=made_runs.Echo(), limit=IN_FLIGHT) as invoker:
            journal = Journal(path, results=False)
            async with invoker.map("work", payloads(items), journal=journal) as ran:
                count = 0
                async for _ in ran:
                    count += 1
                    if not count % max(1, items // 10):
                        weights.append(memory("VmRSS"))

    began = time.perf_counter()
    asyncio.run(whole())
    return {
        "items": items,
        "seconds": time.perf_counter() - began,
        "bytes_per_item": path.stat().st_size / items,
        "weights": weights,
    }


def show(found: dict[str, Any]) -> str:
    """Return the tables."""
    http, slow = found["over_http"], found["slow_function"]
    continued, whole = found["continued"], found["whole"]

    def micro(value: dict[str, float]) -> str:
        return (
            f"{value['median'] * 1e6:.1f} ({value['low'] * 1e6:.1f} to {value['high'] * 1e6:.1f})"
        )

    def plain(value: dict[str, float], form: str = ".2f") -> str:
        return f"{value['median']:{form}} ({value['low']:{form}} to {value['high']:{form}})"

    rows = [
        [
            f"event loop, µs CPU per item, {IN_FLIGHT} in flight",
            micro(http["loop"]),
            micro(http["loop_with"]),
            plain(http["ratio"]),
        ],
        ["thread that writes, µs CPU per item", "", micro(http["writer"]), ""],
        [
            f"items/s, function of {FUNCTION_MS / 1000:g} s, {BUSY} in flight",
            plain(slow["rate"], ".0f"),
            plain(slow["rate_with"], ".0f"),
            plain(slow["rate_ratio"], ".3f"),
        ],
        ["disk, bytes per item, without results", "", f"{http['bytes_per_item']:.0f}", ""],
    ]
    later = [
        [
            f"{each['items']:,} items, {'by key' if each['keyed'] else 'by position'}",
            f"{each['seconds']:.1f}",
            f"{each['cpu']:.1f}",
            f"{each['growth'] / 2**20:.1f}",
            f"{each['bytes_per_item']:.1f}",
        ]
        for each in continued
    ]
    head = ["continued, every digest compared", "s", "s CPU", "MiB more", "bytes per item"]
    weights = [weight / 2**20 for weight in whole["weights"]]
    return (
        f"{table(['', 'without', 'with a journal', 'ratio'], rows)}\n\n{table(head, later)}\n\n"
        f"{whole['items']:,} items journaled without a wire: {whole['seconds']:.0f} s, "
        f"{whole['bytes_per_item']:.1f} bytes per item; the process weighed "
        f"{weights[0]:.0f} MiB after a tenth of them, {max(weights):.0f} MiB at most, and "
        f"{weights[-1]:.0f} MiB at the end.\n\n{found['machine']}."
    )


BENCHMARK = Benchmark(
    name="journal",
    description=__doc__,
    numbers={
        "pairs": (15, "rounds without a wait, without and with a journal in turn"),
        "rounds": (5, "rounds with a function of 0.1 s"),
        "items": (20_000, "items of a map"),
        "continued": (
            1_000_000,
            "items of the runs that are continued, of which the last has ten times as many",
        ),
        "whole": (1_000_000, "items of a run that is journaled from its beginning to its end"),
    },
    measure=measure,
    show=show,
)

if __name__ == "__main__":
    BENCHMARK.main()
