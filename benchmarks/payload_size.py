"""What an invocation costs by the size of its payload, from 1 KB to Lambda's limit of 6 MB.

Eight are in flight, so that the largest payloads fit into memory. The responses are small. The rounds
are interleaved; ratios compare with bare aiobotocore in the same round.
"""

from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.canned import CannedEndpoint
from benchmarks.command import Benchmark
from benchmarks.plots import lines
from benchmarks.rounds import interleaved, machine, ratios, spread
from benchmarks.tables import figure, table
from benchmarks.variants import Variant
from benchmarks.worker import Worker

IN_FLIGHT = 8
VARIANT = Variant(in_flight=IN_FLIGHT)
BASELINE = "aiobotocore"
LABELS = {
    "invoke": "asyncinvoke",
    "invoke, client transport": "asyncinvoke, client transport",
    BASELINE: BASELINE,
}
SIZES = (1_000, 10_000, 100_000, 1_000_000, 6_291_456)


def measure(options: Namespace) -> dict[str, Any]:
    """Invoke with each size."""
    found: dict[int, dict[str, list[dict[str, Any]]]] = {}
    invoked = 0
    with CannedEndpoint() as endpoint, ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(name, url=endpoint.url, variant=VARIANT))
            for name in LABELS
        }
        for size in SIZES:
            count = max(min(options.count, options.megabytes * 1_000_000 // size), IN_FLIGHT)
            found[size] = {name: [] for name in LABELS}
            for worker in workers.values():
                worker.invoke(count, size=size)
            for name in interleaved(list(workers), options.rounds):
                found[size][name].append(workers[name].invoke(count, size=size))
            invoked += (options.rounds + 1) * len(workers) * count
        if endpoint.requests() != invoked:
            raise RuntimeError(f"{endpoint.requests()} of {invoked} invocations arrived")
    return {
        "machine": machine(),
        "rounds": options.rounds,
        "in_flight": IN_FLIGHT,
        "baseline": BASELINE,
        "sizes": {
            size: {
                name: {
                    "cpu": spread([each["cpu"] for each in runs]),
                    "wall": spread([each["wall"] for each in runs]),
                    "ratio": ratios(
                        [each["cpu"] for each in runs], [each["cpu"] for each in by_name[BASELINE]]
                    ),
                }
                for name, runs in by_name.items()
            }
            for size, by_name in found.items()
        },
    }


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        [
            LABELS[name],
            f"{int(size):,}",
            figure(each["cpu"], scale=1e6),
            figure(each["wall"], scale=1e6),
            figure(each["ratio"], digits=2),
        ]
        for size, by_name in found["sizes"].items()
        for name, each in by_name.items()
    ]
    headings = ["client", "payload, bytes", "CPU, µs", "time, µs", "CPU to aiobotocore"]
    return (
        f"{table(headings, rows)}\n\nFor one invocation, {found['in_flight']} in flight; medians of "
        f"{found['rounds']} interleaved rounds, lowest and highest in brackets. "
        f"{found['machine']}."
    )


def plot(found: dict[str, Any], path: Path) -> None:
    """Plot CPU time over size."""
    lines(
        path,
        {
            label: [
                (int(size), by_name[name]["cpu"]["median"] * 1e6)
                for size, by_name in found["sizes"].items()
            ]
            for name, label in LABELS.items()
        },
        x_label="payload, bytes",
        y_label="CPU time per invocation, µs",
    )


BENCHMARK = Benchmark(
    name="payload_size",
    description=__doc__,
    numbers={
        "rounds": (3, "how often"),
        "count": (400, "invocations in a round, at most"),
        "megabytes": (100, "what a round may send; at least 8 payloads are sent"),
    },
    measure=measure,
    show=show,
    plot=plot,
)

if __name__ == "__main__":
    BENCHMARK.main()
