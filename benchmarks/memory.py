"""How the memory of `map` grows with the number of payloads, which come from a generator.

The growth is from the resident memory before payload 10,000 to the maximum after it. A million payloads
take minutes: `python -m benchmarks.memory --items 1000000`.
"""

from argparse import Namespace
from typing import Any

from benchmarks.canned import CannedEndpoint
from benchmarks.command import Benchmark
from benchmarks.rounds import machine
from benchmarks.tables import table
from benchmarks.variants import Variant
from benchmarks.worker import Worker

IN_FLIGHT = 32
VARIANT = Variant(in_flight=IN_FLIGHT)
FIRST = 10_000


def measure(options: Namespace) -> dict[str, Any]:
    """Run one map."""
    first = min(FIRST, max(options.items // 2, 1))
    with (
        CannedEndpoint() as endpoint,
        Worker("map", url=endpoint.url, variant=VARIANT) as worker,
    ):
        ran = worker.invoke(options.items, watch_every=first)
        if endpoint.requests() != options.items:
            raise RuntimeError(f"{endpoint.requests()} of {options.items} items arrived")
    _, at_first, *later = ran["resident"]
    return {
        "machine": machine(),
        "items": options.items,
        "first": first,
        "resident_at_first": at_first,
        "resident_at_most": max([at_first, *later]),
        "growth": max([at_first, *later]) - at_first,
        "items_per_second": 1 / ran["wall"],
    }


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        [f"after {found['first']:,} payloads", f"{found['resident_at_first'] / 2**20:.1f}"],
        [f"at most, up to {found['items']:,}", f"{found['resident_at_most'] / 2**20:.1f}"],
        ["growth", f"{found['growth'] / 2**20:.1f}"],
    ]
    return (
        f"{table(['resident memory of `map`', 'MiB'], rows)}\n\n"
        f"{IN_FLIGHT} in flight, {found['items_per_second']:.0f} items per second. "
        f"{found['machine']}."
    )


BENCHMARK = Benchmark(
    name="memory",
    description=__doc__,
    numbers={"items": (100_000, "payloads")},
    measure=measure,
    show=show,
)

if __name__ == "__main__":
    BENCHMARK.main()
