"""The timeline of a run, second by second, without the time between its sessions."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from asyncinvoke._journal.measuring import Measures
from asyncinvoke._journal.values import RecordedSession, Sample

POINTS = 400
"""The maximum number of points of a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The rates at which items ended in one time step."""

    at: float
    """When the step begins, in seconds of running time."""

    succeeded: float
    """Items that succeeded, per second."""

    failed: float
    """Items that failed, per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The state of a run at one point in time."""

    at: float
    """The time, in seconds of running time."""

    in_flight: int
    """The maximum number of attempts in flight since the last point."""

    limit: int
    """The concurrency limit."""

    throttles: Mapping[str, int]
    """Attempts throttled since the last point, by reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The progress of a run over its running time: the time in which at least one session was active."""

    begins: tuple[float, ...]
    """When the run started, and resumed after each pause, in seconds of running time."""

    lasted: float
    """The running time, in seconds."""

    step: float
    """The length of a step of `rates`, in seconds."""

    rates: tuple[Rate, ...]
    """The rates of all steps, including those in which nothing ended."""

    points: tuple[Point, ...]
    """The limit and the attempts in flight, summed over the active sessions; empty without samples."""

    throttles: Mapping[str, int]
    """Throttled attempts by reason, as far as they were sampled, most frequent first."""


def timeline_of(
    sessions: Sequence[RecordedSession], measures: Measures, samples: Iterable[Sample]
) -> Timeline:
    """Return the timeline of a run.

    Consecutive sessions are joined without the pause between them. Sessions that overlap, as those
    of merged shards do, are added up.
    """
    offsets, begins, lasted = _offsets(sessions, measures.lasted)
    points = _points(samples, offsets, {each.number: each.started for each in sessions})
    if len(begins) < len(sessions):
        points = _added_up(points, max(2.0, lasted / POINTS))
    totals: dict[str, int] = {}
    for _, point in points:
        for reason, count in point.throttles.items():
            totals[reason] = totals.get(reason, 0) + count
    return Timeline(
        begins=begins,
        lasted=lasted,
        step=measures.step,
        rates=_rates(measures, offsets),
        points=thinned([point for _, point in points], POINTS),
        throttles=dict(sorted(totals.items(), key=lambda item: -item[1])),
    )


def _offsets(
    sessions: Sequence[RecordedSession], lasted: Mapping[int, float]
) -> tuple[dict[int, float], tuple[float, ...], float]:
    """Return the start of each session, the starts after each pause, and the end, in running time."""
    offsets: dict[int, float] = {}
    begins: list[float] = []
    until, paused, running = -math.inf, 0.0, 0.0
    for session in sorted(sessions, key=lambda each: each.started):
        if session.started >= until:
            paused = session.started - running
            begins.append(running)
        offsets[session.number] = session.started - paused
        until = max(until, session.started + lasted.get(session.number, 0.0))
        running = max(running, until - paused)
    return offsets, tuple(begins), running


def _rates(measures: Measures, offsets: Mapping[int, float]) -> tuple[Rate, ...]:
    step = measures.step
    succeeded, failed = Counter[int](), Counter[int]()
    for each in measures.steps:
        number = int((offsets.get(each.session, 0.0) + each.at) / step + 1e-6)
        succeeded[number] += each.succeeded
        failed[number] += each.failed
    return tuple(
        Rate(at=number * step, succeeded=succeeded[number] / step, failed=failed[number] / step)
        for number in range(max({*succeeded, *failed}, default=-1) + 1)
    )


def _points(
    samples: Iterable[Sample], offsets: Mapping[int, float], started: Mapping[int, float]
) -> list[tuple[int, Point]]:
    """Return the points of all samples, each with its session."""
    points = []
    before: dict[int, Mapping[str, int]] = {}
    for sample in samples:
        last = before.get(sample.session, {})
        before[sample.session] = sample.throttles
        since = max(sample.at - started.get(sample.session, sample.at), 0.0)
        point = Point(
            at=offsets.get(sample.session, 0.0) + since,
            in_flight=sample.in_flight,
            limit=sample.limit,
            throttles={
                reason: count - last.get(reason, 0)
                for reason, count in sample.throttles.items()
                if count > last.get(reason, 0)
            },
        )
        points.append((sample.session, point))
    return points


def _added_up(points: Sequence[tuple[int, Point]], width: float) -> list[tuple[int, Point]]:
    """Return one point per time step, summed over all sessions."""
    stretches: dict[int, dict[int, list[Point]]] = {}
    for session, point in points:
        stretches.setdefault(int(point.at / width), {}).setdefault(session, []).append(point)
    added = []
    for number, of_sessions in sorted(stretches.items()):
        throttles = Counter[str]()
        for each in of_sessions.values():
            for point in each:
                throttles.update(point.throttles)
        point = Point(
            at=number * width,
            in_flight=sum(max(each.in_flight for each in all_) for all_ in of_sessions.values()),
            limit=sum(all_[-1].limit for all_ in of_sessions.values()),
            throttles=dict(throttles),
        )
        added.append((0, point))
    return added


def thinned(points: Sequence[Point], most: int) -> tuple[Point, ...]:
    """Return at most `most` points: each replaces several, with their maximum in flight and all throttles."""
    size = -(-len(points) // most) or 1
    thinned = []
    for start in range(0, len(points), size):
        group = points[start : start + size]
        throttles: dict[str, int] = {}
        for point in group:
            for reason, count in point.throttles.items():
                throttles[reason] = throttles.get(reason, 0) + count
        thinned.append(
            Point(
                at=group[-1].at,
                in_flight=max(point.in_flight for point in group),
                limit=group[-1].limit,
                throttles=throttles,
            )
        )
    return tuple(thinned)
