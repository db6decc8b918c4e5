"""How a run went, second by second, with the time between its sessions left out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from asyncinvoke._journal.measuring import Measures
from asyncinvoke._journal.values import RecordedSession, Sample

POINTS = 400
"""How many points a line has, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What ended in a step of time."""

    at: float
    """When the step begins, in seconds of running time."""

    succeeded: float
    """Items that succeeded, a second."""

    failed: float
    """Items that failed, a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A moment of a run."""

    at: float
    """When, in seconds of running time."""

    in_flight: int
    """Attempts in flight: the most since the last point."""

    limit: int
    """How many might be."""

    throttles: Mapping[str, int]
    """Attempts throttled since the last point, by reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a run went. Running time is that of its sessions, one after the other."""

    begins: tuple[float, ...]
    """When each session begins, in seconds of running time."""

    lasted: float
    """Seconds of running time."""

    step: float
    """Seconds of a step of `rates`."""

    rates: tuple[Rate, ...]
    """What ended when; steps in which nothing ended are there, too."""

    points: tuple[Point, ...]
    """The limit, and what was in flight; empty where nothing was sampled."""

    throttles: Mapping[str, int]
    """Attempts throttled, by reason, as far as was sampled; the most frequent first."""


def course_of(
    sessions: Sequence[RecordedSession], measures: Measures, samples: Iterable[Sample]
) -> Course:
    """Return how a run went."""
    begins: dict[int, float] = {}
    at = 0.0
    for session in sessions:
        begins[session.number] = at
        at += measures.lasted.get(session.number, 0.0)
    started = {session.number: session.started for session in sessions}
    points = _points(samples, begins, started)
    totals: dict[str, int] = {}
    for point in points:
        for reason, count in point.throttles.items():
            totals[reason] = totals.get(reason, 0) + count
    return Course(
        begins=tuple(begins.values()),
        lasted=at,
        step=measures.step,
        rates=_rates(measures, begins),
        points=thinned(points, POINTS),
        throttles=dict(sorted(totals.items(), key=lambda item: -item[1])),
    )


def _rates(measures: Measures, begins: Mapping[int, float]) -> tuple[Rate, ...]:
    rates = []
    for session, begin in begins.items():
        found = {
            round(each.at / measures.step): each
            for each in measures.steps
            if each.session == session
        }
        for number in range(max(found, default=-1) + 1):
            step = found.get(number)
            rates.append(
                Rate(
                    at=begin + number * measures.step,
                    succeeded=(step.succeeded if step else 0) / measures.step,
                    failed=(step.failed if step else 0) / measures.step,
                )
            )
    return tuple(rates)


def _points(
    samples: Iterable[Sample], begins: Mapping[int, float], started: Mapping[int, float]
) -> list[Point]:
    points = []
    session, before = None, dict[str, int]()
    for sample in samples:
        if sample.session != session:
            session, before = sample.session, {}
        throttles = {
            reason: count - before.get(reason, 0)
            for reason, count in sample.throttles.items()
            if count > before.get(reason, 0)
        }
        before = dict(sample.throttles)
        since = max(sample.at - started.get(sample.session, sample.at), 0.0)
        points.append(
            Point(
                at=begins.get(sample.session, 0.0) + since,
                in_flight=sample.in_flight,
                limit=sample.limit,
                throttles=throttles,
            )
        )
    return points


def thinned(points: Sequence[Point], most: int) -> tuple[Point, ...]:
    """Return no more than so many points, each of several: the most in flight, all throttles."""
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
