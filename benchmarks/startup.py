"""How long a fresh process takes to import asyncinvoke and to print its help.

Bare Python, which does nothing, is included for comparison: all other times contain it.
"""

import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from benchmarks.child import CHECKOUT
from benchmarks.command import Benchmark
from benchmarks.plots import bars
from benchmarks.rounds import interleaved, machine, ratios, scaled, spread
from benchmarks.tables import figure, table

BASELINE = "import aiobotocore.session"
COMMANDS = {
    "python, doing nothing": ("-c", "pass"),
    "import asyncinvoke": ("-c", "import asyncinvoke"),
    "from asyncinvoke import Invoker": ("-c", "from asyncinvoke import Invoker"),
    "asyncinvoke --help": ("-m", "asyncinvoke", "--help"),
    BASELINE: ("-c", BASELINE),
}


def measure(options: Namespace) -> dict[str, Any]:
    """Start each process several times."""
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for name in COMMANDS:
        _start(name)  # compiles what has to be compiled
    for name in interleaved(list(COMMANDS), options.rounds):
        found[name].append(_start(name))
    return {
        "machine": machine(),
        "rounds": options.rounds,
        "baseline": BASELINE,
        "starts": {
            name: {"wall": spread(values), "ratio": ratios(values, found[BASELINE])}
            for name, values in found.items()
        },
    }


def _start(name: str) -> float:
    began = time.perf_counter()
    command = [sys.executable, *COMMANDS[name]]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=False)
    elapsed = time.perf_counter() - began
    if ended.returncode:
        raise RuntimeError(f"{name!r} ended with status {ended.returncode}")
    return elapsed


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        [name, figure(each["wall"], scale=1e3), figure(each["ratio"], digits=2)]
        for name, each in found["starts"].items()
    ]
    return (
        f"{table(['a fresh process', 'ms', 'ratio to aiobotocore'], rows)}\n\n"
        f"Medians of {found['rounds']} interleaved rounds, lowest and highest in brackets. "
        f"{found['machine']}."
    )


def plot(found: dict[str, Any], path: Path) -> None:
    """Plot the times."""
    bars(
        path,
        {name: scaled(each["wall"], 1e3) for name, each in found["starts"].items()},
        label="ms until a fresh process is done",
        ours=["import asyncinvoke", "asyncinvoke --help"],
    )


BENCHMARK = Benchmark(
    name="startup",
    description=__doc__,
    numbers={"rounds": (15, "how often")},
    measure=measure,
    show=show,
    plot=plot,
)

if __name__ == "__main__":
    BENCHMARK.main()
