"""Aggregates over all items for a report, computed by the database."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from asyncinvoke._journal.damage import damage_told
from asyncinvoke._journal.opening import read_only

STEPS = 120
"""The approximate number of time steps."""

_NICE = (1, 2, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """A group of items with about the same duration, waits and retries included."""

    seconds: float
    """Their shortest duration in seconds, to three digits."""

    longest: float
    """Their longest duration, in seconds."""

    count: int
    """The number of items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The items that ended in one time step of a session."""

    session: int
    """The session."""

    at: float
    """When the step begins, in seconds since the session's start."""

    succeeded: int
    """Items that succeeded."""

    failed: int
    """Items that did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The latencies and throughput of a run."""

    latencies: tuple[Latencies, ...]
    """The durations of items that were sent, shortest first."""

    lasted: dict[int, float]
    """The duration of each session, up to its last record, in seconds."""

    step: float
    """The length of a step, in seconds."""

    steps: tuple[Step, ...]
    """The items that ended in each step."""


def measured(path: str | os.PathLike[str]) -> Measures:
    """Measure a recorded run; takes less than a second per million items.

    Args:
        path: The path of the journal.

    Raises:
        JournalError: The file does not exist or is not a journal.
    """
    path = Path(path)
    with closing(read_only(path)) as connection, damage_told(path):
        return _measured(connection)


# A report shows three digits of a duration, so there are at most 900 groups per power of ten.
_POWERS = "".join(
    f"WHEN elapsed < {10 ** (power + 3)} THEN elapsed / {10**power} * {10**power} "
    for power in range(10)
)
_LATENCIES = f"""
SELECT CASE {_POWERS} ELSE elapsed END AS about, MAX(elapsed), COUNT(*)
FROM item WHERE attempts > 0 AND elapsed > 0 GROUP BY about ORDER BY about
"""  # of numbers that are written here

_SESSIONS = """
SELECT id, (ended - started) * 1e6, samples FROM session
LEFT JOIN (SELECT session AS s, MAX(at) * 1000 AS samples FROM sample GROUP BY session) ON s = id
ORDER BY id
"""

_LAST_END = "SELECT MAX(began * 1000 + elapsed) FROM item WHERE session = ?"

# Session and step are combined into one number: grouping by it takes a quarter less time.
_MOST_STEPS = 1 << 24
_STEPS = f"""
SELECT session * {_MOST_STEPS} + (began * 1000 + elapsed) / :step AS number,
    SUM(state = 0), COUNT(*)
FROM item GROUP BY number ORDER BY number
"""  # of a number that is written here


def _measured(connection: sqlite3.Connection) -> Measures:
    latencies = connection.execute(_LATENCIES).fetchall()
    lasted = {
        number: (max(ended or 0, samples or 0) or _last_end(connection, number)) / 1e6
        for number, ended, samples in connection.execute(_SESSIONS).fetchall()
    }
    step = step_of(sum(lasted.values()))
    rows = connection.execute(_STEPS, {"step": round(step * 1e6)}).fetchall()
    return Measures(
        latencies=tuple(
            Latencies(seconds=about / 1e6, longest=longest / 1e6, count=count)
            for about, longest, count in latencies
        ),
        lasted=lasted,
        step=step,
        steps=tuple(
            Step(
                session=number // _MOST_STEPS,
                at=number % _MOST_STEPS * step,
                succeeded=ok,
                failed=count - ok,
            )
            for number, ok, count in rows
        ),
    )


def _last_end(connection: sqlite3.Connection, session: int) -> float:
    """Return when the last item ended, for a session without an end or a sample."""
    ((last,),) = connection.execute(_LAST_END, (session,)).fetchall()
    return float(last or 0)


def step_of(seconds: float) -> float:
    """Return a step length that gives about a hundred steps: 1, 2 or 5 times a power of ten."""
    wanted = max(seconds / STEPS, 0.001)
    power = 0.001
    while power * 10 <= wanted:
        power *= 10
    steps = [round(nice * power, 6) for nice in (*_NICE, 10)]
    return next((step for step in steps if step >= wanted - 1e-9), steps[-1])
