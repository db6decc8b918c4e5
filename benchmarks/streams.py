"""CPU time of reading a response stream, with `Invoker.stream` and with bare aiobotocore.

A function writes 20 MB in events of 16 KB; each client reads the chunks, counts their bytes and drops
them. Each has a separate process, with one stream at a time; the rounds are interleaved, and a ratio
compares two in the same round. It should be 0.3 at most with the extra `streams`, which is installed
for this; without it, most of the time is spent on checksums.

aiobotocore cannot read a stream over httpx, which it uses on trio; `--loop trio` compares with
aiobotocore on asyncio.
"""

from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from benchmarks.canned import CannedEndpoint
from benchmarks.command import Benchmark
from benchmarks.rounds import interleaved, machine, ratios, spread
from benchmarks.streamed import SIZE_VARIABLE
from benchmarks.tables import figure, table
from benchmarks.variants import Variant, add_options, chosen
from benchmarks.worker import Worker

BASELINE = "stream, aiobotocore"
CORE = "stream, core"
LABELS = {
    "stream": "asyncinvoke stream",
    CORE: "the same without the extra streams",
    BASELINE: "aiobotocore",
}
AT_MOST = 0.3


def measure(options: Namespace) -> dict[str, Any]:
    """Read streams with both in turn."""
    variant = chosen(options, Variant(in_flight=1))
    assert variant is not None
    size = options.kilobytes * 1000
    baseline_loop = "asyncio" if variant.loop == "trio" else variant.loop
    variants = {"stream": variant, CORE: variant, BASELINE: replace(variant, loop=baseline_loop)}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in LABELS}
    with (
        CannedEndpoint(tls=variant.tls, stream_bytes=size, chunk_bytes=options.chunk) as endpoint,
        ExitStack() as stack,
    ):
        environment = {**endpoint.environment, SIZE_VARIABLE: str(size)}
        workers = {
            name: stack.enter_context(
                Worker(name, url=endpoint.url, variant=variant, environment=environment)
            )
            for name, variant in variants.items()
        }
        for worker in workers.values():
            worker.invoke(options.count)
        for name in interleaved(list(workers), options.rounds):
            found[name].append(workers[name].invoke(options.count, warm_up=variant.in_flight))
    cpu = {name: [each["cpu"] for each in runs] for name, runs in found.items()}
    ratio = ratios(cpu["stream"], cpu[BASELINE])
    return {
        "machine": machine(),
        "label": variant.label,
        "rounds": options.rounds,
        "count": options.count,
        "bytes": size,
        "chunk": options.chunk,
        "baseline": BASELINE,
        "at_most": AT_MOST,
        "missed": ratio["median"] > AT_MOST,
        "clients": {
            name: {
                "cpu": spread(values),
                "wall": spread([each["wall"] for each in found[name]]),
                "ratio": ratios(values, cpu[BASELINE]),
            }
            for name, values in cpu.items()
        },
    }


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        [
            LABELS[name],
            figure(each["cpu"], scale=1e3, digits=1),
            figure(each["ratio"], digits=3),
            f"{found['bytes'] / each['wall']['median'] / 1e6:,.0f}",
        ]
        for name, each in found["clients"].items()
    ]
    headings = [found["label"], "CPU per stream, ms", "ratio to aiobotocore", "MB per second"]
    bound = "missed" if found["missed"] else "kept"
    return (
        f"{table(headings, rows)}\n\nStreams of {found['bytes'] / 1e6:g} MB in events of "
        f"{found['chunk']:,} bytes; medians of {found['rounds']} interleaved rounds of "
        f"{found['count']}, lowest and highest in brackets. The bound, {found['at_most']}, is "
        f"{bound}. {found['machine']}."
    )


def _add_options(parser: ArgumentParser) -> None:
    add_options(parser, "in_flight", "loop", "tls", "credentials")


BENCHMARK = Benchmark(
    name="streams",
    description=__doc__,
    numbers={
        "rounds": (5, "how often"),
        "count": (10, "streams of a round"),
        "kilobytes": (20_000, "how much each stream has"),
        "chunk": (16_384, "bytes of an event"),
    },
    measure=measure,
    show=show,
    add_options=_add_options,
)

if __name__ == "__main__":
    BENCHMARK.main()
