"""Percentiles and bars of latencies that are counted already. Reads nothing and draws nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from asyncinvoke._journal.measuring import Latencies

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
"""Which are told."""

BARS = 36
"""About how many bars a histogram has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar of a histogram."""

    begin: float
    """From so many seconds."""

    end: float
    """Until so many seconds."""

    count: int
    """How many items took that long."""


def percentiles(latencies: Sequence[Latencies]) -> dict[float, float]:
    """Return the time that so many percent of the items took at most, in seconds.

    They are right to three digits, as the latencies are. 100 is the longest.
    """
    total = sum(each.count for each in latencies)
    if not total:
        return {}
    found: dict[float, float] = {}
    seen = 0
    wanted = list(PERCENTILES)
    for each in latencies:
        seen += each.count
        while wanted and seen >= math.ceil(total * wanted[0] / 100):
            found[wanted.pop(0)] = each.longest
    found[100.0] = latencies[-1].longest
    return found


def bars(latencies: Sequence[Latencies]) -> list[Bar]:
    """Return a histogram whose bars are equally wide on a logarithmic axis."""
    if not latencies:
        return []
    low = max(latencies[0].seconds, 1e-4)
    high = max(latencies[-1].longest, low * 2)
    ratio = (high / low) ** (1 / BARS)
    # No narrower than the latencies are told apart, or there would be gaps that are none.
    count = BARS if ratio > 1.11 else max(1, math.ceil(math.log(high / low, 1.11)))
    ratio = (high / low) ** (1 / count)
    counts = [0] * count
    for each in latencies:
        middle = math.sqrt(max(each.seconds, low) * max(each.longest, low))
        counts[min(int(math.log(max(middle / low, 1), ratio)), count - 1)] += each.count
    edges = [low * ratio**number for number in range(count + 1)]
    return [
        Bar(begin=begin, end=end, count=each)
        for begin, end, each in zip(edges, edges[1:], counts, strict=False)
    ]
