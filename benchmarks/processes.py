"""`asyncinvoke map --processes`: the effect of two processes instead of one, and the cost of an item.

The command runs on a file of JSON lines against an endpoint that answers at once, in a separate
process, once with few lines and once with many; the difference is the cost of the lines, without the
start of the processes. CPU time is that of the command with its processes. On a machine with two CPUs,
two processes, the one that writes their outcomes, and the endpoint share these two, so lines per second
cannot double there. The CPU time of a line shows whether anything is in the way: it should be that of
one process.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from benchmarks.canned import CannedEndpoint
from benchmarks.child import CHECKOUT
from benchmarks.command import Benchmark
from benchmarks.rounds import interleaved, machine, ratios, spread
from benchmarks.tables import figure, table

FEW = 100
IN_FLIGHT = 64
ONE = "one process"
KINDS = {
    ONE: (),
    "two processes": ("--processes", "2"),
    "two by hand, --shard": ("--shard",),
}
OTHERS = ("--shard", "1/1000000")
"""A shard that has next to nothing of the input: what it costs to read the lines of all others."""


def measure(options: Namespace) -> dict[str, Any]:
    """Run each kind, in interleaved rounds."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in KINDS}
    with tempfile.TemporaryDirectory() as folder, CannedEndpoint() as endpoint:
        sources = [_write(Path(folder), lines) for lines in (FEW, options.lines)]
        for name in interleaved(list(KINDS), options.rounds):
            few, many = (_run(KINDS[name], source, endpoint) for source in sources)
            lines = options.lines - FEW
            found[name].append({each: (many[each] - few[each]) / lines for each in few})
        skipping = _write(Path(folder), 20 * options.lines)
        few, many = (_run(OTHERS, source, endpoint) for source in (sources[0], skipping))
        skipped = (many["cpu"] - few["cpu"]) / (20 * options.lines - FEW)
    return {
        "machine": machine(),
        "rounds": options.rounds,
        "lines": options.lines,
        "skipped": skipped,
        "kinds": {
            name: {
                "lines_per_second": spread([1 / each["wall"] for each in runs]),
                "cpu": spread([each["cpu"] for each in runs]),
                "endpoint_cpu": spread([each["endpoint_cpu"] for each in runs]),
                "cpu_ratio": ratios(
                    [each["cpu"] for each in runs], [each["cpu"] for each in found[ONE]]
                ),
                "rate_ratio": ratios(
                    [1 / each["wall"] for each in runs], [1 / each["wall"] for each in found[ONE]]
                ),
            }
            for name, runs in found.items()
        },
    }


def _write(folder: Path, lines: int) -> Path:
    path = folder / f"{lines}.jsonl"
    path.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(lines)), encoding="utf-8")
    return path


def _run(kind: tuple[str, ...], source: Path, endpoint: CannedEndpoint) -> dict[str, float]:
    command = [
        *(sys.executable, "-m", "asyncinvoke", "map", "work", str(source)),
        *("--progress", "none", "--region", "us-east-1", "--endpoint-url", endpoint.url),
    ]
    commands = [[*command, "--concurrency", str(IN_FLIGHT), *kind]]
    if kind == ("--shard",):
        half = str(IN_FLIGHT // 2)
        commands = [[*command, "--concurrency", half, "--shard", f"{n}/2"] for n in (1, 2)]
    environment = {
        **{name: value for name, value in os.environ.items() if name[:4] != "AWS_"},
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "no_proxy": "127.0.0.1",
    }
    requests, used = endpoint.requests(), endpoint.cpu_seconds()
    before, began = _cpu_of_children(), time.perf_counter()
    with source.with_suffix(".out").open("wb") as out:
        running = [
            subprocess.Popen(each, cwd=CHECKOUT, stdout=out, env=environment) for each in commands
        ]
        statuses = [each.wait() for each in running]
    wall = time.perf_counter() - began
    lines = 1 if kind == OTHERS else int(source.stem)
    if any(statuses) or endpoint.requests() - requests != lines:
        raise RuntimeError(f"the command ended with {statuses}, or did not send each line once")
    return {
        "wall": wall,
        "cpu": _cpu_of_children() - before,
        "endpoint_cpu": endpoint.cpu_seconds() - used,
    }


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        [
            name,
            figure(kind["lines_per_second"]),
            figure(kind["rate_ratio"], digits=2),
            figure(kind["cpu"], scale=1e6),
            figure(kind["cpu_ratio"], digits=2),
            figure(kind["endpoint_cpu"], scale=1e6),
        ]
        for name, kind in found["kinds"].items()
    ]
    headings = [
        f"{found['lines']:,} lines",
        "lines/s",
        "/ one",
        "CPU µs a line",
        "/ one",
        "endpoint, µs",
    ]
    skipped = f"A line of another shard: {found['skipped'] * 1e6:.2f} µs of CPU."
    return f"{found['machine']}\n\n{table(headings, rows)}\n\n{skipped}"


BENCHMARK = Benchmark(
    name="processes",
    description=__doc__ or "",
    numbers={"rounds": (3, "how often each runs"), "lines": (20_000, "lines of the input")},
    measure=measure,
    show=show,
)

if __name__ == "__main__":
    BENCHMARK.main()
