"""How long requests took, of as many as there are, in little memory: a histogram. Knows no clock."""

import math
from collections import Counter

_STEP = math.log(1.02)
"""Buckets are 2 % wide, so that a percentile is off by 1 % at most."""

_LEAST = 1e-6

SHOWN = (50, 95, 99)
"""The percentiles that a summary shows."""


class Latencies:
    """Counts times in buckets that grow with them."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._buckets[math.floor(math.log(max(seconds, _LEAST)) / _STEP)] += 1
        self._longest = max(self._longest, seconds)

    def percentile(self, percent: float) -> float | None:
        """Return the time, in seconds, within which so many percent were; `None` of none."""
        wanted = math.ceil(self._buckets.total() * percent / 100)
        for bucket in sorted(self._buckets):
            wanted -= self._buckets[bucket]
            if wanted <= 0:
                return min(math.exp((bucket + 0.5) * _STEP), self._longest)
        return None

    def as_text(self) -> str | None:
        """Return them as a line; `None` of none."""
        if not self._buckets:
            return None
        parts = [f"p{percent} {_span(self.percentile(percent) or 0)}" for percent in SHOWN]
        return ", ".join(parts)

    def as_json(self) -> dict[str, float | None]:
        """Return them in seconds, by name."""
        found = {f"p{percent}": self.percentile(percent) for percent in SHOWN}
        return {name: None if value is None else round(value, 6) for name, value in found.items()}


def _span(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else f"{seconds:,.2f} s"
