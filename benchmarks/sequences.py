"""Many random sequences of answers, faults and hang-ups: are the reports about them correct?

The property of `tests/attack/test_sequences.py`, with new sequences in each run. One that fails is
reduced to the shortest that fails, and shown.
"""

import functools
import os
from argparse import Namespace
from typing import Any

import anyio
from hypothesis import HealthCheck, given, settings

from benchmarks.command import Benchmark
from benchmarks.rounds import machine
from benchmarks.tables import table
from tests.attack.sequences import Scenario, check, scenarios

WAYS = [
    (backend, transport) for backend in ("asyncio", "trio") for transport in ("direct", "client")
]


def measure(options: Namespace) -> dict[str, Any]:
    """Run a number of sequences on each loop and transport."""
    os.environ.update(
        AWS_ACCESS_KEY_ID="none",
        AWS_SECRET_ACCESS_KEY="none",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_CONFIG_FILE=os.devnull,
        no_proxy="127.0.0.1",
    )
    rows = [
        {"loop": backend, "transport": transport, **live(backend, transport, options.sequences)}
        for backend, transport in WAYS
    ]
    return {"machine": machine(), "rows": rows}


def live(backend: str, transport: str, count: int) -> dict[str, Any]:
    """Run a number of sequences, or until one fails."""
    lived = 0

    @settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(scenario=scenarios)
    def each(scenario: Scenario) -> None:
        nonlocal lived
        anyio.run(functools.partial(check, scenario, transport), backend=backend)
        lived += 1

    try:
        each()
    except AssertionError as found:
        return {
            "sequences": lived,
            "found": f"{found}\n" + "\n".join(getattr(found, "__notes__", [])),
        }
    return {"sequences": lived, "found": None}


def show(found: dict[str, Any]) -> str:
    """Return the table, and the sequences that failed."""
    rows = [
        [
            f"{row['loop']}, {row['transport']}",
            f"{row['sequences']:,}",
            "none" if row["found"] is None else "one, below",
        ]
        for row in found["rows"]
    ]
    failed = [
        f"{row['loop']}, {row['transport']}:\n\n```\n{row['found']}\n```"
        for row in found["rows"]
        if row["found"] is not None
    ]
    return "\n\n".join(
        [table(["loop, transport", "sequences", "failed"], rows), *failed, f"{found['machine']}."]
    )


BENCHMARK = Benchmark(
    name="sequences",
    description=__doc__,
    numbers={"sequences": (1000, "sequences for each loop and transport")},
    measure=measure,
    show=show,
)

if __name__ == "__main__":
    BENCHMARK.main()
