"""Runs the benchmarks one after the other and writes tables and plots into `results/`."""

import sys
from pathlib import Path

from benchmarks import fanout, memory, overhead, payload_size, startup

RESULTS = Path(__file__).with_name("results")
BENCHMARKS = (
    overhead.BENCHMARK,
    fanout.BENCHMARK,
    memory.BENCHMARK,
    payload_size.BENCHMARK,
    startup.BENCHMARK,
)


def main() -> None:
    RESULTS.mkdir(exist_ok=True)
    for benchmark in BENCHMARKS:
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
