"""What telemetry costs: CPU time of an invocation without a hook, with one, and with OpenTelemetry.

Every client runs in a separate process with 32 invocations in flight, against one endpoint on loopback
that answers at once. The rounds are interleaved; each ratio compares with `invoke` without a hook, and
with bare aiobotocore without telemetry, in the same round. The SDK samples all spans and exports them
in batches, which are discarded.

`--before FOLDER` adds `invoke` of another checkout.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from benchmarks.canned import CannedEndpoint
from benchmarks.command import Benchmark, add_only, containing
from benchmarks.compare import BASELINE, Entry, in_turn
from benchmarks.rounds import machine, ratios, spread
from benchmarks.tables import figure, table
from benchmarks.variants import Variant
from benchmarks.watched import LISTENERS

PLAIN = "invoke"
BEFORE = "invoke, before"

BOUNDS = (
    (PLAIN, BEFORE, 1.01),
    ("OpenTelemetry, API alone", PLAIN, 1.1),
    ("OpenTelemetry, spans and metrics", BASELINE, 0.5),
)
"""Who may cost at most what part of whom."""


def measure(options: Namespace) -> dict[str, Any]:
    """Measure all in turn."""
    variant = Variant()
    listeners = containing(options.only, LISTENERS)
    names = (BASELINE, PLAIN, *listeners)
    entries = {name: Entry(client=name, variant=variant) for name in names}
    if options.before is not None:
        entries[BEFORE] = Entry(client=PLAIN, variant=variant, checkout=options.before)
    with CannedEndpoint() as endpoint:
        found = in_turn(endpoint, entries, rounds=options.rounds, count=options.count)
    cpu = {name: [each["cpu"] for each in runs] for name, runs in found.items()}
    bounds = [
        {"who": who, "of": of, "at_most": at_most, "ratio": ratios(cpu[who], cpu[of])}
        for who, of, at_most in BOUNDS
        if who in cpu and of in cpu
    ]
    return {
        "machine": machine(),
        "rounds": options.rounds,
        "count": options.count,
        "clients": {
            name: {
                "cpu": spread(values),
                "to_plain": ratios(values, cpu[PLAIN]),
                "to_baseline": ratios(values, cpu[BASELINE]),
            }
            for name, values in cpu.items()
        },
        "bounds": bounds,
        "missed": [each["who"] for each in bounds if each["ratio"]["median"] > each["at_most"]],
    }


def show(found: dict[str, Any]) -> str:
    """Return the tables."""
    costs = table(
        ["client", "CPU per invocation, µs", "ratio to no hook", "ratio to aiobotocore"],
        [
            [
                name,
                figure(each["cpu"], scale=1e6, digits=1),
                figure(each["to_plain"], digits=3),
                figure(each["to_baseline"], digits=3),
            ]
            for name, each in found["clients"].items()
        ],
    )
    bounds = table(
        ["bound", "at most", "measured", ""],
        [
            [
                f"{each['who']} to {each['of']}",
                f"{each['at_most']}",
                figure(each["ratio"], digits=3),
                "missed" if each["who"] in found["missed"] else "kept",
            ]
            for each in found["bounds"]
        ],
    )
    return (
        f"{costs}\n\n{bounds}\n\nMedians of {found['rounds']} interleaved rounds of "
        f"{found['count']:,} invocations, lowest and highest in brackets; ratios are paired by "
        f"round. {found['machine']}."
    )


def _add_options(parser: ArgumentParser) -> None:
    add_only(parser)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="another checkout")


BENCHMARK = Benchmark(
    name="telemetry",
    description=__doc__,
    numbers={
        "rounds": (7, "how often"),
        "count": (2000, "invocations in a round"),
    },
    measure=measure,
    show=show,
    add_options=_add_options,
)

if __name__ == "__main__":
    BENCHMARK.main()
