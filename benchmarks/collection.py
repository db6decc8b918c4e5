"""The results in `results/`: for each, the benchmark and its arguments."""

from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import (
    ceilings,
    cut_everywhere,
    dask_workers,
    failures,
    fanout,
    inputs,
    journal,
    kills,
    memory,
    names,
    overhead,
    payload_size,
    processes,
    sequences,
    served,
    simulate,
    startup,
    streams,
    telemetry,
    throttled,
)
from benchmarks.command import Benchmark
from benchmarks.stamp import Stamp

RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """A benchmark with the arguments for one result."""

    benchmark: Benchmark
    arguments: tuple[str, ...] = ()
    """What it is called with; nothing gives its defaults."""

    name: str
    """The result's, which is that of its file."""

    @property
    def command(self) -> str:
        """The command that makes the same measurement and prints it."""
        return " ".join(("python -m", f"benchmarks.{self.benchmark.name}", *self.arguments))

    def measure(self, folder: Path) -> str:
        """Measure, write the plots to a directory, and return the result as a page without its stamp.

        Raises:
            RuntimeError: The benchmark failed, or a dependency is not installed.
        """
        benchmark = self.benchmark
        found = benchmark.measure(benchmark.options(self.arguments))
        title, _, explanation = benchmark.description.strip().partition("\n\n")
        parts = [f"# {title.rstrip('.')}", f"`{self.command}`", explanation, benchmark.show(found)]
        if benchmark.plot is not None:
            benchmark.plot(found, folder / f"{self.name}.svg")
            parts += [
                f"![{title}]({path.name})" for path in sorted(folder.glob(f"{self.name}*.svg"))
            ]
        return "\n\n".join(part for part in parts if part)


def _plain(*benchmarks: Benchmark) -> tuple[Collected, ...]:
    return tuple(Collected(benchmark=each, name=each.name) for each in benchmarks)


MATRIX = Collected(
    benchmark=replace(overhead.BENCHMARK, plot=None),
    arguments=("--matrix",),
    name="overhead_matrix",
)

COLLECTED = (
    MATRIX,
    *_plain(
        throttled.BENCHMARK,
        ceilings.BENCHMARK,
        telemetry.BENCHMARK,
        journal.BENCHMARK,
        inputs.BENCHMARK,
        processes.BENCHMARK,
        dask_workers.BENCHMARK,
        overhead.BENCHMARK,
        fanout.BENCHMARK,
        memory.BENCHMARK,
        payload_size.BENCHMARK,
        startup.BENCHMARK,
        served.BENCHMARK,
        streams.BENCHMARK,
    ),
    Collected(benchmark=simulate.BENCHMARK, arguments=("--full",), name="simulate"),
)
"""What `make bench` measures: every figure that a page shows comes from one of these."""

BY_NAME = _plain(
    names.BENCHMARK,
    failures.BENCHMARK,
    cut_everywhere.BENCHMARK,
    sequences.BENCHMARK,
    kills.BENCHMARK,
)
"""What is measured only when it is named: these look for faults or for growth, not for speed."""


def took(name: str) -> int | None:
    """Return the duration of the last measurement in seconds, if it is known."""
    path = RESULTS / f"{name}.md"
    stamp = Stamp.of(path.read_text("utf-8")) if path.exists() else None
    return None if stamp is None else stamp.seconds
