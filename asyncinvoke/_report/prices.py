"""The estimated cost of a run, from sampled billed durations and a dated price table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PRICES_OF = "August 2025"
"""The month in which AWS published these prices."""

PER_GB_S = 0.0000166667
"""The price of a GB-second in US dollars: x86, us-east-1, first tier. It is the same in most regions,
higher in some, and a fifth lower on Arm."""

PER_REQUEST = 0.20 / 1_000_000
"""The price of a request in US dollars."""

NOTE = "logs"
"""The name of the note in a journal with the sums over sampled REPORT lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Sums over the REPORT lines of sampled invocations."""

    count: int
    """The number of invocations sampled."""

    gb_s: float
    """The sum of their GB-seconds."""

    gb_s_squared: float
    """The sum of the squares of their GB-seconds."""

    billed_ms: int
    """The sum of their billed durations, in milliseconds."""

    inits: int
    """The number of cold starts among them."""

    memory_mb: tuple[int, ...]
    """Their distinct memory sizes, in MB."""

    @classmethod
    def from_note(cls, note: Any) -> "Sampled | None":
        """Return the sums in a note, or `None` if it has none."""
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
    """The estimated cost of a run."""

    dollars: float
    """The cost of compute and requests, in US dollars."""

    margin: float
    """Half the width of the 95 % confidence interval, in US dollars."""

    gb_s: float
    """The estimated GB-seconds."""

    invocations: int
    """The number of invocations, as far as known."""

    price_per_gb_s: float
    """The price used, in US dollars per GB-second."""

    sampled: Sampled
    """The sample behind the estimate."""

    is_own_price: bool
    """Whether the caller gave the price."""


def estimated(sampled: Sampled, invocations: int, *, price_per_gb_s: float | None = None) -> Cost:
    """Estimate the cost of a run.

    Args:
        sampled: Sums over sampled REPORT lines.
        invocations: The number of invocations.
        price_per_gb_s: The price of a GB-second in US dollars; by default `PER_GB_S`.
    """
    price = PER_GB_S if price_per_gb_s is None else price_per_gb_s
    mean = sampled.gb_s / sampled.count
    variance = max(sampled.gb_s_squared / sampled.count - mean * mean, 0.0)
    error = math.sqrt(variance / max(sampled.count - 1, 1))
    # Finite population correction: a complete sample leaves no uncertainty.
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
