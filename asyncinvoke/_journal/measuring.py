"""Aggregates over all items for a report, computed by the database."""

import os
import sqlite3
from collections import Counter
from collections.abc import Mapping
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
    """Their duration in seconds, to three digits, rounded down."""

    longest: float
    """The most that their duration can be, in seconds. That of the last group is the longest of the
    run, to the microsecond."""

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


_POWERS = 10
"""The number of powers of ten of microseconds with groups of their own: up to 11 days."""

# A duration to three digits as a small number, so there are at most 900 groups per power of ten:
# 1000 for each power, and the three digits. 0 is an item that was not sent.
_CASES = "".join(
    f"WHEN elapsed < {10 ** (power + 3)} THEN {1000 * power} + elapsed / {10**power} "
    for power in range(_POWERS)
)
_LONGER = 1000 * _POWERS
_LATENCY = f"CASE WHEN attempts = 0 THEN 0 {_CASES}ELSE {_LONGER} END"

# Step, session and success as one number: a step may be negative after the clock was set back, and
# Python's `divmod` still separates them.
_STEP = "(began * 1000 + elapsed) / :step * :sessions + session * 2 + (state = 0)"

# SQLite has no hash aggregation: it would sort all rows, twice. It concatenates the numbers of a
# block of rows instead, and `Counter` counts the words, which takes half the CPU time.
_BLOCK = 16384
"""The number of rows of a block."""

_COUNTED = f"""
SELECT group_concat({_LATENCY}), group_concat({_STEP}), MAX(elapsed)
FROM item WHERE idx > :after AND idx <= :until
"""  # contains only the constants above
_UNTIL = "SELECT idx FROM item WHERE idx > ? ORDER BY idx LIMIT 1 OFFSET ?"
_LAST = (1 << 63) - 1

_SESSIONS = """
SELECT id, MAX(COALESCE((ended - started) * 1e6, 0), COALESCE(samples, 0)) AS lasted FROM session
LEFT JOIN (SELECT session AS s, MAX(at) * 1000 AS samples FROM sample GROUP BY session) ON s = id
ORDER BY id
"""

# One statement for all of them: each reads all items, and a run may have been killed ten thousand times.
_LAST_ENDS = f"""
SELECT session, MAX(began * 1000 + elapsed) FROM item
WHERE session IN (SELECT id FROM ({_SESSIONS}) WHERE lasted <= 0) GROUP BY session
"""  # contains only the constant above


def _measured(connection: sqlite3.Connection) -> Measures:
    lasted = _lasted(connection)
    step = step_of(sum(lasted.values()))
    sessions = 2 * (max(lasted, default=0) + 1)
    latencies, steps, longest = _counted(
        connection, {"step": round(step * 1e6), "sessions": sessions}
    )
    return Measures(
        latencies=_latencies(latencies, longest),
        lasted=lasted,
        step=step,
        steps=_steps(steps, sessions, step, lasted),
    )


def _lasted(connection: sqlite3.Connection) -> dict[int, float]:
    """Return the duration of each session: of one without an end or a sample, until its last item."""
    lasted = dict(connection.execute(_SESSIONS).fetchall())
    if any(each <= 0 for each in lasted.values()):
        lasted |= dict(connection.execute(_LAST_ENDS).fetchall())
    return {number: max(each, 0) / 1e6 for number, each in lasted.items()}


def _counted(
    connection: sqlite3.Connection, values: dict[str, int]
) -> tuple[Counter[int], Counter[int], int]:
    """Count items by latency and by step; return the longest duration too, in microseconds."""
    latencies, steps = Counter[str](), Counter[str]()
    after, longest = -1, 0
    while after < _LAST:
        ((until,),) = connection.execute(_UNTIL, (after, _BLOCK - 1)).fetchall() or ((_LAST,),)
        values |= {"after": after, "until": until}
        ((latency, step, most),) = connection.execute(_COUNTED, values).fetchall()
        if latency is not None:
            latencies.update(latency.split(","))
            steps.update(step.split(","))
            longest = max(longest, most)
        after = until
    return _numbered(latencies), _numbered(steps), longest


def _numbered(words: Counter[str]) -> Counter[int]:
    return Counter({int(word): count for word, count in words.items()})


def _latencies(counts: Counter[int], longest: int) -> tuple[Latencies, ...]:
    groups = []
    for code in sorted(counts.keys() - {0}):
        power, digits = divmod(code, 1000)
        if code < 1000:
            low, high = code, code
        elif code < _LONGER:
            low = digits * 10**power
            high = low + 10**power - 1
        else:
            low, high = 10 ** (_POWERS + 2), longest
        groups.append(
            Latencies(seconds=low / 1e6, longest=min(high, longest) / 1e6, count=counts[code])
        )
    return tuple(groups)


def _steps(
    counts: Counter[int], sessions: int, step: float, lasted: Mapping[int, float]
) -> tuple[Step, ...]:
    ended: dict[tuple[int, int], list[int]] = {}
    for number, count in counts.items():
        at, rest = divmod(number, sessions)
        session, ok = divmod(rest, 2)
        # A clock that was set may put an item outside its session, by years: it counts at the edge.
        at = min(max(at, 0), int(lasted.get(session, 0.0) / step))
        ended.setdefault((session, at), [0, 0])[ok] += count
    return tuple(
        Step(session=session, at=at * step, succeeded=succeeded, failed=failed)
        for (session, at), (failed, succeeded) in sorted(ended.items())
    )


def step_of(seconds: float) -> float:
    """Return a step length that gives about a hundred steps: 1, 2 or 5 times a power of ten."""
    wanted = max(seconds / STEPS, 0.001)
    power = 0.001
    while power * 10 <= wanted:
        power *= 10
    steps = [round(nice * power, 6) for nice in (*_NICE, 10)]
    return next((step for step in steps if step >= wanted - 1e-9), steps[-1])
