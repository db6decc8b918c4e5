"""The estimated cost of a run, from sampled billed durations and a dated price table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PRICES_OF = "August 2025"
"""When the prices were those that AWS published."""

PER_GB_S = 0.0000166667
"""US dollars for a GB-second: x86, us-east-1, the first tier. Most regions have the same; Arm costs a
fifth less, and some regions more."""

PER_REQUEST = 0.20 / 1_000_000
"""US dollars for a request."""

NOTE = "logs"
"""The name of the note in a journal that holds what REPORT lines said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What the REPORT lines of some invocations said."""

    count: int
    """How many were looked at."""

    gb_s: float
    """The GB-seconds of all of them."""

    gb_s_squared: float
    """The sum of the squares of each one's."""

    billed_ms: int
    """The milliseconds that all of them were billed."""

    inits: int
    """How many of them were cold starts."""

    memory_mb: tuple[int, ...]
    """The memory sizes that they had."""

    @classmethod
    def from_note(cls, note: Any) -> "Sampled | None":
        """Return what a journal has noted, or `None` if that is nothing."""
        if not isinstance(note, Mapping):
            return None
        try:
            found = cls(
                count=int(note["count"]),
                gb_s=float(note["gb_s"]),
                gb_s_squared=float(note["gb_s_squared"]),
                billed_ms=int(note["billed_ms"]),
                inits=int(note["inits"]),
                memory_mb=tuple(int(each) for each in note["memory_mb"]),
            )
        except (KeyError, TypeError, ValueError):
            return None
        return found if found.count > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """An estimate."""

    dollars: float
    """US dollars, for compute and requests."""

    margin: float
    """So much more or less, in 95 cases of 100, as far as the sample tells."""

    gb_s: float
    """GB-seconds, estimated."""

    invocations: int
    """How many ran, as far as is known."""

    price_per_gb_s: float
    """The price that was taken."""

    sampled: Sampled
    """What it is estimated from."""

    is_own_price: bool
    """Whether the price was given, or is the table's."""


def estimated(sampled: Sampled, invocations: int, *, price_per_gb_s: float | None = None) -> Cost:
    """Estimate what a run has cost.

    Args:
        sampled: What REPORT lines said.
        invocations: How many ran.
        price_per_gb_s: US dollars for a GB-second; by default `PER_GB_S`.
    """
    price = PER_GB_S if price_per_gb_s is None else price_per_gb_s
    mean = sampled.gb_s / sampled.count
    variance = max(sampled.gb_s_squared / sampled.count - mean * mean, 0.0)
    error = math.sqrt(variance / max(sampled.count - 1, 1))
    # Of what was sampled wholly nothing is left to guess.
    unseen = max(1 - sampled.count / max(invocations, 1), 0.0)
    return Cost(
        dollars=invocations * (mean * price + PER_REQUEST),
        margin=1.96 * error * math.sqrt(unseen) * invocations * price,
        gb_s=mean * invocations,
        invocations=invocations,
        price_per_gb_s=price,
        sampled=sampled,
        is_own_price=price_per_gb_s is not None,
    )
