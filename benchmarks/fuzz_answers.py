"""Compares our HTTP response parser with h11 and aiohttp's: python -m benchmarks.fuzz_answers.

The method is described in `tests/transport/http/differential.py`; the suite runs a few thousand cases.
"""

import argparse
import sys
import time
from collections import Counter

from tests.transport.http.differential import compare_many


def main() -> None:
    """Compare the requested number of answers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="how many answers")
    parser.add_argument("--seed", type=int, default=1, help="of the first ten thousand")
    options = parser.parse_args()
    started, cases = time.monotonic(), Counter[str]()
    for number in range(0, options.count, 10_000):
        cases += compare_many(min(10_000, options.count - number), options.seed + number)
        print(f"{cases.total():,} in {time.monotonic() - started:.0f} s", file=sys.stderr)
    for case, times in sorted(cases.items()):
        print(f"{times:>12,}  {case}")


if __name__ == "__main__":
    main()
