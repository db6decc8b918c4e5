"""Items per CPU second that `inputs.read` reads of each format, and whether memory stays constant.

Each file is read in a separate process, which measures its own CPU time, once at its normal size and
once four times as long; the difference in memory is what grows with the input. Items are only counted:
checking that a line is JSON, which a map does when it sends one, is measured separately.
"""

import csv
import gzip
import io
import json
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.child import CHECKOUT
from benchmarks.command import Benchmark
from benchmarks.rounds import interleaved, machine, spread
from benchmarks.tables import figure, table

LONGER = 4
PROGRAM = """
import json, re, resource, sys, time
from pathlib import Path
import anyio
from asyncinvoke.inputs import read

async def main():
    count, with_payload = 0, sys.argv[2] == "payload"
    source = read(sys.argv[1])
    await source.begin()  # what is imported is imported
    began = time.process_time()
    async for item in source:
        if with_payload:
            item.payload
        count += 1
    cpu = time.process_time() - began
    try:  # what a process inherits of its parent's peak is not in this one
        peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text("utf-8"))[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"items": count, "cpu": cpu, "peak": peak}))

anyio.run(main)
"""


def _lines(rows: int) -> bytes:
    line = b'{"id": "order-%08d", "bucket": "photos", "n": %d}\n'
    return b"".join(line % (n, n) for n in range(rows))


def _csv(rows: int) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["id", "bucket", "n"])
    writer.writerows([f"order-{n:08}", "photos", n] for n in range(rows))
    return text.getvalue().encode()


def _parquet(rows: int) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": [f"order-{n:08}" for n in range(rows)],
        "bucket": ["photos"] * rows,
        "n": list(range(rows)),
        "weight": [n / 7 for n in range(rows)],
        "when": pa.array(range(rows), pa.timestamp("ms")),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, row_group_size=100_000)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _zstd(data: bytes) -> bytes:
    import zstandard

    packed: bytes = zstandard.compress(data)
    return packed


FILES: dict[str, Callable[[int], bytes]] = {
    "in.jsonl": _lines,
    "in.jsonl.gz": lambda rows: gzip.compress(_lines(rows), 1),
    "in.jsonl.zst": lambda rows: _zstd(_lines(rows)),
    "in.csv": _csv,
    "in.parquet": _parquet,
}
READS = {name: (name, "count") for name in FILES} | {
    "in.jsonl, each checked to be JSON": ("in.jsonl", "payload")
}


def measure(options: Namespace) -> dict[str, Any]:
    """Write the files, and read each several times."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in READS}
    growth: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, make in FILES.items():
            for times in (1, LONGER):
                path = Path(folder) / str(times) / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(make(options.rows * times))
        for name in interleaved(list(READS), options.rounds):
            file, how = READS[name]
            found[name].append(_read(Path(folder) / "1" / file, how))
        for name, (file, how) in READS.items():
            longer = _read(Path(folder) / str(LONGER) / file, how)
            growth[name] = (longer["peak"] - found[name][-1]["peak"]) / 1024
    return {
        "machine": machine(),
        "rounds": options.rounds,
        "rows": options.rows,
        "reads": {
            name: {
                "items": rounds[0]["items"],
                "rate": spread([each["items"] / each["cpu"] for each in rounds]),
                "peak": spread([each["peak"] / 1024 for each in rounds]),
                "growth": growth[name],
            }
            for name, rounds in found.items()
        },
    }


def _read(path: Path, how: str) -> dict[str, Any]:
    command = [sys.executable, "-c", PROGRAM, str(path), how]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"reading {path.name} ended with status {ended.returncode}")
    read: dict[str, Any] = json.loads(ended.stdout)
    return read


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        [name, figure(each["rate"], scale=1e-3), figure(each["peak"]), f"{each['growth']:+.1f}"]
        for name, each in found["reads"].items()
    ]
    headings = ["file", "thousand items a second of CPU", "peak MiB", f"MiB more at {LONGER} times"]
    return (
        f"{table(headings, rows)}\n\n"
        f"{found['rows']:,} rows each; medians of {found['rounds']} interleaved rounds, lowest and "
        f"highest in brackets. {found['machine']}."
    )


BENCHMARK = Benchmark(
    name="inputs",
    description=__doc__,
    numbers={
        "rounds": (5, "how often"),
        "rows": (1_000_000, "how many rows the shorter files have"),
    },
    measure=measure,
    show=show,
)

if __name__ == "__main__":
    BENCHMARK.main()
