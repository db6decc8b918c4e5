"""The cost that each variant of an invocation may have: rows and bounds as data."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from benchmarks import compare
from benchmarks.command import containing
from benchmarks.rounds import Spread, machine
from benchmarks.tables import figure, table
from benchmarks.variants import Variant

Metric: TypeAlias = Literal["ratio", "more", "p50"]
"""CPU as a part of aiobotocore's; CPU seconds more than without; the median latency in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A bound that a client has to keep."""

    client: str
    metric: Metric
    at_most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A variant and its bounds."""

    variant: Variant
    bounds: tuple[Bound, ...]
    times: int = 3
    """How many times as many invocations as asked for make a round: ours take a tenth of the time."""


def _both(metric: Metric, invoke: float, fan_out: float) -> tuple[Bound, ...]:
    return (
        Bound(client="invoke", metric=metric, at_most=invoke),
        Bound(client="map", metric=metric, at_most=fan_out),
    )


def _invoke(at_most: float) -> tuple[Bound, ...]:
    return (Bound(client="invoke", metric="ratio", at_most=at_most),)


ROWS = (
    Row(variant=Variant(), bounds=_both("ratio", 0.08, 0.09)),
    Row(variant=Variant(tls=True), bounds=_both("ratio", 0.09, 0.10)),
    Row(variant=Variant(loop="uvloop"), bounds=_both("ratio", 0.075, 0.085)),
    Row(variant=Variant(loop="trio"), bounds=_both("ratio", 0.09, 0.10)),
    Row(variant=Variant(loop="trio", tls=True), bounds=_both("ratio", 0.09, 0.10)),
    # A difference of two microseconds between two costs of sixty takes more invocations to show.
    Row(variant=Variant(credentials="refreshable"), bounds=_both("more", 1e-6, 1e-6), times=8),
    Row(variant=Variant(timeout=True), bounds=_both("more", 2e-6, 2e-6), times=8),
    Row(variant=Variant(in_flight=200, function_ms=50), bounds=_both("ratio", 0.09, 0.12)),
    Row(
        variant=Variant(in_flight=200, function_ms=50, tls=True),
        bounds=_both("ratio", 0.12, 0.14),
    ),
    # The limit has to find its way from 20 to 1,000 in the round before those that count.
    Row(
        variant=Variant(in_flight=1000, function_ms=50),
        bounds=_both("p50", 0.055, 0.055),
        times=6,
    ),
    Row(variant=Variant(in_flight=8, payload=100_000, tls=True), bounds=_invoke(0.30), times=1),
    Row(variant=Variant(in_flight=8, payload=6_291_456, tls=True), bounds=_invoke(0.80), times=1),
)


def measure(*, rounds: int, count: int, only: str = "") -> dict[str, Any]:
    """Measure the rows whose label contains a text.

    Raises:
        RuntimeError: No label contains it, or a client failed.
    """
    labels = containing(only, [row.variant.label for row in ROWS])
    rows = [row for row in ROWS if row.variant.label in labels]
    return {
        "machine": machine(),
        "rounds": rounds,
        "rows": [_measured(row, rounds, count) for row in rows],
    }


def _measured(row: Row, rounds: int, count: int) -> dict[str, Any]:
    found = compare.compare(row.variant, rounds=rounds, count=row.times * count)
    bounds = [
        {**asdict(bound), "missed": is_missed(measured(found, bound), bound.at_most)}
        for bound in row.bounds
    ]
    return {**found, "bounds": bounds}


def measured(found: dict[str, Any], bound: Bound) -> Spread:
    """Return the value in a comparison that a bound applies to."""
    spread: Spread = found["clients"][bound.client][bound.metric]
    return spread


def is_missed(spread: Spread, at_most: float) -> bool:
    """Return whether the median misses a bound; a single round may be disturbed."""
    return spread["median"] > at_most


_UNITS: dict[str, tuple[str, float, int]] = {
    "ratio": ("of aiobotocore's CPU", 1.0, 3),
    "more": ("µs more than without", 1e6, 1),
    "p50": ("ms, p50", 1e3, 1),
}


def show(found: dict[str, Any]) -> str:
    """Return the table of the bounds, and all latencies with many in flight."""
    rows = []
    for row in found["rows"]:
        for bound in row["bounds"]:
            unit, scale, digits = _UNITS[bound["metric"]]
            client = row["clients"][bound["client"]]
            rows.append(
                [
                    row["label"],
                    bound["client"],
                    figure(client["cpu"], scale=1e6, digits=1),
                    figure(client[bound["metric"]], scale=scale, digits=digits),
                    f"{bound['at_most'] * scale:.{digits}f}",
                    unit,
                    "**missed**" if bound["missed"] else "kept",
                ]
            )
    headings = ["variant", "", "CPU, µs", "measured", "at most", "", "bound"]
    missed = sum(bound["missed"] for row in found["rows"] for bound in row["bounds"])
    notes = (
        f"{missed} of {len(rows)} bounds are missed. Medians of {found['rounds']} interleaved "
        "rounds, lowest and highest in brackets; ratios and differences are paired by round. "
        f"{found['machine']}."
    )
    shown = [table(headings, rows), notes]
    waits = [
        [
            row["label"],
            name,
            *(figure(each[metric], scale=1e3, digits=1) for metric in ("p50", "p99")),
            figure(each["p99_ratio"], digits=2),
            f"{1 / each['wall']['median']:,.0f}",
        ]
        for row in found["rows"]
        if row["variant"]["in_flight"] >= compare.MANY
        for name, each in row["clients"].items()
    ]
    if waits:
        headings = ["variant", "", "p50, ms", "p99, ms", "p99 to aiobotocore", "per second"]
        shown.append(table(headings, waits))
    return "\n\n".join(shown)
