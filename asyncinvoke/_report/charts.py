"""The charts of a report: what each of them shows."""

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from asyncinvoke._report.drawing import BAD, GOOD, INK, LIMIT, MUTED, PAPER, drawn
from asyncinvoke._report.figures import Bar, seconds_in_words
from asyncinvoke._report.timeline import Point, Timeline, thinned

_KEPT = 4
"""The maximum number of throttle reasons in a chart; the table has all of them."""

_STEMS = 60
"""The maximum number of stems in the chart of throttles."""

_MARKERS = ("o", "s", "^", "D", "v")


def latency_chart(bars: Sequence[Bar], marks: Mapping[float, float]) -> str:
    """Draw the histogram of durations.

    Args:
        bars: The histogram.
        marks: Percentiles to mark, in seconds, by percentage.
    """

    def draw(axes: Any, width: str) -> None:
        lefts = [bar.begin for bar in bars]
        widths = [bar.end - bar.begin for bar in bars]
        counts = [bar.count for bar in bars]
        axes.bar(lefts, counts, widths, align="edge", color=GOOD, edgecolor=PAPER, linewidth=0.6)
        axes.set_xscale("log")
        axes.set_ylim(0, max(counts) * 1.25)
        named = [each for each in (50.0, 95.0, 99.0) if each in marks]
        for number, percent in enumerate(named):
            at = marks[percent]
            axes.axvline(at, color=INK, linewidth=1, linestyle=("-", "--", ":")[number])
            axes.annotate(
                f"p{percent:g}", (at, 1 - 0.09 * number), xycoords=("data", "axes fraction"),
                xytext=(3, -9), textcoords="offset points", color=INK, fontsize=8,
            )  # fmt: skip
        ticks = _time_ticks(bars[0].begin, bars[-1].end, 4 if width == "narrow" else 8)
        axes.set_xticks(ticks, [seconds_in_words(each) for each in ticks])
        axes.minorticks_off()
        axes.set_xlim(bars[0].begin, bars[-1].end)
        axes.set_ylabel("items")

    return drawn("latency", draw, height=2.3)


def rate_chart(timeline: Timeline) -> str:
    """Draw how many items ended per second."""

    def draw(axes: Any, width: str) -> None:
        edges = [rate.at for rate in timeline.rates]
        ends = [*edges, edges[-1] + timeline.step]
        good = [rate.succeeded for rate in timeline.rates]
        bad = [rate.failed for rate in timeline.rates]
        axes.stairs(good, ends, fill=True, color=GOOD, alpha=0.35)
        axes.stairs(good, ends, color=GOOD, linewidth=1.3, label="succeeded")
        if any(bad):
            axes.stairs(bad, ends, color=BAD, linewidth=1.3, linestyle="--", label="failed")
        axes.set_ylim(0, max(*good, *bad, 1e-9) * 1.25)
        axes.set_ylabel("items a second")
        _time_axis(axes, timeline, width)

    return drawn("rate", draw, height=2.1, legend=True)


def flight_chart(timeline: Timeline) -> str:
    """Draw the concurrency limit, and the attempts in flight."""

    def draw(axes: Any, width: str) -> None:
        flight = [point.in_flight for point in timeline.points]
        limit = [point.limit for point in timeline.points]
        # One line for each session, because nothing was sampled between them.
        for number, points in enumerate(_of_each_session(timeline)):
            at = [point.at for point in points]
            ys = [point.in_flight for point in points]
            named = {"label": "in flight"} if number == 0 else {}
            axes.fill_between(at, ys, color=GOOD, alpha=0.35, linewidth=0)
            axes.plot(at, ys, color=GOOD, linewidth=1.3, **named)
            named = {"label": "limit"} if number == 0 else {}
            ys = [point.limit for point in points]
            axes.plot(at, ys, color=LIMIT, linewidth=1.3, linestyle="--", **named)
        # A limit that was never approached would flatten the rest of the chart.
        most = max(*flight, 1)
        near = [each for each in limit if each <= most * 4]
        axes.set_ylim(0, max(most, *near, 1) * 1.25)
        axes.set_ylabel("attempts")
        _time_axis(axes, timeline, width)

    return drawn("flight", draw, height=2.1, legend=True)


def _of_each_session(timeline: Timeline) -> list[list[Point]]:
    sessions: dict[int, list[Point]] = {}
    for point in timeline.points:
        sessions.setdefault(bisect_left(timeline.begins, point.at), []).append(point)
    return list(sessions.values())


def throttle_chart(timeline: Timeline) -> str:
    """Draw the throttled attempts over time, by reason."""

    def draw(axes: Any, width: str) -> None:
        points = thinned(timeline.points, _STEMS)
        at = [point.at for point in points]
        reasons = list(timeline.throttles)[:_KEPT]
        for number, reason in enumerate(reasons):
            counts = [point.throttles.get(reason, 0) for point in points]
            shown = [(x, y) for x, y in zip(at, counts, strict=True) if y]
            axes.vlines(
                [x for x, _ in shown], 0, [y for _, y in shown], color=BAD, linewidth=1, alpha=0.5
            )
            axes.plot(
                [x for x, _ in shown], [y for _, y in shown], _MARKERS[number], color=BAD,
                markersize=3.5, fillstyle="full" if number % 2 == 0 else "none",
                label=_short(reason, width),
            )  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.set_ylabel("attempts")
        _time_axis(axes, timeline, width)

    return drawn("throttles", draw, height=1.8, legend=True)


def _short(reason: str, width: str) -> str:
    return reason if width == "wide" or len(reason) <= 30 else f"{reason[:29]}…"


def _time_axis(axes: Any, timeline: Timeline, width: str) -> None:
    lasted = max(timeline.lasted, timeline.step)
    ticks = _even_ticks(lasted, 4 if width == "narrow" else 8)
    axes.set_xticks(ticks, [seconds_in_words(each) for each in ticks])
    axes.set_xlim(0, lasted)
    for begin in timeline.begins[1:]:
        axes.axvline(begin, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))


def _time_ticks(low: float, high: float, most: int) -> list[float]:
    steps = [value * 10.0**power for power in range(-5, 6) for value in (1, 2, 5)]
    inside = [each for each in steps if low * 0.999 <= each <= high * 1.001]
    return inside[:: max(1, -(-len(inside) // most))] or [low, high]


def _even_ticks(lasted: float, most: int) -> list[float]:
    nice = [value * 10.0**power for power in range(-4, 3) for value in (1, 2, 5)]
    nice = [each for each in nice if each <= 30]
    nice += [60 * each for each in (1, 2, 5, 10, 15, 30)]
    nice += [3600 * each for each in (1, 2, 3, 6, 12, 24, 48, 96, 168)]
    step = next((each for each in nice if lasted / each <= most), lasted / most)
    return list(itertools.takewhile(lambda each: each <= lasted, _multiples(step)))


def _multiples(step: float) -> Iterator[float]:
    return (number * step for number in itertools.count())
