"""Runs benchmarks one after the other and writes tables and plots into `results/`.

`python -m benchmarks` runs those that take less than some minutes; `python -m benchmarks NAME...` runs
these, of which `names`, `failures`, `throttled`, `ceilings`, `cut_everywhere`, `inputs`, `sequences`,
`journal`, `kills`, `processes` and `dask_workers` are never run unless named.
"""

import sys
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
    startup,
    streams,
    telemetry,
    throttled,
)

RESULTS = Path(__file__).with_name("results")
BENCHMARKS = (
    overhead.BENCHMARK,
    fanout.BENCHMARK,
    memory.BENCHMARK,
    payload_size.BENCHMARK,
    startup.BENCHMARK,
    served.BENCHMARK,
    streams.BENCHMARK,
    telemetry.BENCHMARK,
)
SLOW = (
    names.BENCHMARK,
    failures.BENCHMARK,
    throttled.BENCHMARK,
    ceilings.BENCHMARK,
    cut_everywhere.BENCHMARK,
    inputs.BENCHMARK,
    sequences.BENCHMARK,
    journal.BENCHMARK,
    kills.BENCHMARK,
    processes.BENCHMARK,
    dask_workers.BENCHMARK,
)


def main() -> None:
    named = {benchmark.name: benchmark for benchmark in (*BENCHMARKS, *SLOW)}
    for name in sys.argv[1:]:
        if name not in named:
            sys.exit(f"no benchmark is called {name!r}: there are {', '.join(named)}")
    RESULTS.mkdir(exist_ok=True)
    for benchmark in [named[name] for name in sys.argv[1:]] or BENCHMARKS:
        print(f"{benchmark.name} ...", file=sys.stderr)
        try:
            found = benchmark.measure(benchmark.options([]))
        except RuntimeError as error:
            sys.exit(f"{benchmark.name}: {error}")
        title, _, explanation = benchmark.description.strip().partition("\n\n")
        parts = [f"# {title.rstrip('.')}", f"`python -m benchmarks.{benchmark.name}`", explanation]
        parts.append(benchmark.show(found))
        if benchmark.plot is not None:
            benchmark.plot(found, RESULTS / f"{benchmark.name}.svg")
            parts.append(f"![{title}]({benchmark.name}.svg)")
        (RESULTS / f"{benchmark.name}.md").write_text("\n\n".join(parts) + "\n")
        print(f"{benchmark.show(found)}\n")


if __name__ == "__main__":
    main()
