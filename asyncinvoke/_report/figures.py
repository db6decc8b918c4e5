"""Figures for people: percentiles, histogram bars, and formatted numbers."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from asyncinvoke._journal.measuring import Latencies

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
"""The percentiles to show."""

BARS = 36
"""The approximate number of bars of a histogram."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar of a histogram."""

    begin: float
    """The lower bound, in seconds."""

    end: float
    """The upper bound, in seconds."""

    count: int
    """The number of items with a duration in between."""


def percentiles(latencies: Sequence[Latencies]) -> dict[float, float]:
    """Return percentiles of the durations, in seconds, by percentage.

    They are exact to three digits, like the latencies. 100 is the longest duration.
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

    The first bar includes the shortest 0.1 % of the items, however short they are: otherwise a few
    immediate responses would push all other bars to the right.
    """
    if not latencies:
        return []
    low = max(_shortest(latencies), 1e-4)
    high = max(latencies[-1].longest, low * 2)
    ratio = (high / low) ** (1 / BARS)
    # Bars narrower than the resolution of the latencies would leave false gaps.
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
    """Return the shortest duration that is not among the shortest 0.1 %."""
    left = sum(each.count for each in latencies) // 1000
    for each in latencies:
        left -= each.count
        if left < 0:
            break
    return each.seconds


def seconds_in_words(seconds: float) -> str:
    """Return a duration as text, in a suitable unit."""
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
    """Return a time in seconds since the epoch as text, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def number(value: int) -> str:
    """Return a whole number with thousands separators."""
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    """Return a percentage as text; only none or all of the whole is rounded to 0 or 100 %."""
    if not whole:
        return "none"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %" if part not in (0, whole) else f"{percent:.0f} %"


def money(dollars: float) -> str:
    """Return US dollars as text: to the cent, and small amounts to a hundredth of a cent."""
    if dollars >= 0.1 or dollars == 0:
        return f"${dollars:,.2f}"
    return "less than $0.0001" if dollars < 0.0001 else f"${dollars:.4f}".rstrip("0")
