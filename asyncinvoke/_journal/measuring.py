"""Aggregates over all items for a report, computed by the database."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from asyncinvoke._journal.damage import damage_told
from asyncinvoke._journal.opening import read_only

STEPS = 120
"""About how many steps of time there are."""

_NICE = (1, 2, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """How many items took about how long, waits and retries included."""

    seconds: float
    """The shortest of them, to three digits."""

    longest: float
    """The longest of them, in seconds."""

    count: int
    """How many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What ended in one step of a session."""

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
    """A run in figures."""

    latencies: tuple[Latencies, ...]
    """How long items took that were sent, the shortest first."""

    lasted: dict[int, float]
    """How long each session had something to record, in seconds."""

    step: float
    """How long a step is, in seconds."""

    steps: tuple[Step, ...]
    """What ended when."""


def measured(path: str | os.PathLike[str]) -> Measures:
    """Measure a recorded run; less than a second a million items.

    Args:
        path: The journal.

    Raises:
        JournalError: It is not there, or is something else.
    """
    path = Path(path)
    with closing(read_only(path)) as connection, damage_told(path):
        return _measured(connection)


# Three digits of a time are as much as a page shows: at most 900 groups for each power of ten.
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

# Session and step in one number: groups by one number take three quarters of the time.
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
    """Return when the last item of a session ended that neither ended nor was sampled."""
    ((last,),) = connection.execute(_LAST_END, (session,)).fetchall()
    return float(last or 0)


def step_of(seconds: float) -> float:
    """Return how long steps are so that there are some hundred: 1, 2 or 5 times a power of ten."""
    wanted = max(seconds / STEPS, 0.001)
    power = 0.001
    while power * 10 <= wanted:
        power *= 10
    steps = [round(nice * power, 6) for nice in (*_NICE, 10)]
    return next((step for step in steps if step >= wanted - 1e-9), steps[-1])
