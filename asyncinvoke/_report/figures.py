"""Figures for people: percentiles, histogram bars, and formatted numbers."""

import math
import time
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
            found[wanted.pop(0)] = each.seconds
    found[100.0] = latencies[-1].longest
    return found


def bars(latencies: Sequence[Latencies]) -> list[Bar]:
    """Return a histogram whose bars are equally wide on a logarithmic axis.

    The first holds the shortest 0.1 % as well, however short: a few answers that came at once would
    push all others to the right.
    """
    if not latencies:
        return []
    low = max(_shortest(latencies), 1e-4)
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


def _shortest(latencies: Sequence[Latencies]) -> float:
    """Return where a histogram begins."""
    left = sum(each.count for each in latencies) // 1000
    for each in latencies:
        left -= each.count
        if left < 0:
            break
    return each.seconds


def seconds_in_words(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds == 0:
        return "0"
    if seconds < 0.001:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def moment(seconds: float) -> str:
    """Return a moment in UTC, from seconds since the epoch."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def number(value: int) -> str:
    """Return a whole number with its thousands apart."""
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    """Return a part in percent; never 0 or 100 % of what is not none or all."""
    if not whole:
        return "none"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %" if part not in (0, whole) else f"{percent:.0f} %"


def money(dollars: float) -> str:
    """Return dollars, to the cent where there are any."""
    if dollars >= 0.1 or dollars == 0:
        return f"${dollars:,.2f}"
    return "less than $0.0001" if dollars < 0.0001 else f"${dollars:.4f}".rstrip("0")
