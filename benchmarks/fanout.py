"""Many payloads through one function: items per second and memory, compared with common code.

Each run has a fresh process, because its peak memory counts; it first makes a few invocations, which
open its connections. Rounds are interleaved; ratios compare with `asyncio.gather` and a semaphore over
bare aiobotocore in the same round.
"""

from argparse import Namespace
from pathlib import Path
from typing import Any

from benchmarks.canned import CannedEndpoint
from benchmarks.command import Benchmark
from benchmarks.plots import bars
from benchmarks.rounds import interleaved, machine, ratios, spread
from benchmarks.tables import figure, table
from benchmarks.variants import Variant
from benchmarks.worker import Worker

IN_FLIGHT = 32
VARIANT = Variant(in_flight=IN_FLIGHT)
BASELINE = "gather, aiobotocore"
LABELS = {
    "map": "asyncinvoke map",
    BASELINE: "asyncio.gather and a semaphore, aiobotocore",
    "aiometer, aiobotocore": "aiometer, aiobotocore",
}


def measure(options: Namespace) -> dict[str, Any]:
    """Run each contestant."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in LABELS}
    with CannedEndpoint() as endpoint:
        for name in interleaved(list(LABELS), options.rounds):
            with Worker(name, url=endpoint.url, variant=VARIANT) as worker:
                worker.invoke(10 * IN_FLIGHT)
                before = endpoint.requests()
                found[name].append(worker.invoke(options.items, made_first=False))
                if endpoint.requests() - before != options.items:
                    raise RuntimeError(f"{name} did not invoke once for each item")
    return {
        "machine": machine(),
        "rounds": options.rounds,
        "items": options.items,
        "in_flight": IN_FLIGHT,
        "baseline": BASELINE,
        "fanouts": {
            name: {
                "items_per_second": spread([1 / each["wall"] for each in runs]),
                "cpu": spread([each["cpu"] for each in runs]),
                "peak_growth": spread([each["peak_growth"] for each in runs]),
                "ratio": ratios(
                    [each["cpu"] for each in runs], [each["cpu"] for each in found[BASELINE]]
                ),
            }
            for name, runs in found.items()
        },
    }


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        [
            LABELS[name],
            figure(each["items_per_second"]),
            figure(each["cpu"], scale=1e6),
            figure(each["ratio"], digits=2),
            figure(each["peak_growth"], scale=1 / 2**20, digits=1),
        ]
        for name, each in found["fanouts"].items()
    ]
    headings = ["", "items per second", "CPU per item, µs", "ratio", "memory grows by, MiB"]
    return (
        f"{table(headings, rows)}\n\n{found['items']} items, {found['in_flight']} in flight; "
        f"medians of {found['rounds']} interleaved rounds, lowest and highest in brackets. "
        f"{found['machine']}."
    )


def plot(found: dict[str, Any], path: Path) -> None:
    """Draw the items per second."""
    bars(
        path,
        {LABELS[name]: each["items_per_second"] for name, each in found["fanouts"].items()},
        label="items per second",
        ours=["asyncinvoke map"],
    )


BENCHMARK = Benchmark(
    name="fanout",
    description=__doc__,
    numbers={"rounds": (3, "how often"), "items": (5000, "payloads of a run")},
    measure=measure,
    show=show,
    plot=plot,
)

if __name__ == "__main__":
    BENCHMARK.main()
