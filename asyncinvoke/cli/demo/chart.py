"""The demo's chart: calls in flight and throttles over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import anyio

COLUMNS = 60

_LEVELS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The state of the run at one moment."""

    done: int
    """Outcomes so far."""

    in_flight: int
    """Attempts on the wire."""

    throttles: int
    """Attempts that were throttled so far."""


async def sample(samples: list[Sample], look: Callable[[], Sample], *, interval: float) -> None:
    """Take samples until cancelled.

    Args:
        samples: The list to append to.
        look: Takes a sample.
        interval: Seconds between samples.
    """
    while True:
        samples.append(look())
        await anyio.sleep(interval)


def drawn(samples: Sequence[Sample], columns: int = COLUMNS) -> dict[str, str]:
    """Return a line of blocks for each series, by name; empty if there are fewer than three samples.

    Args:
        samples: The samples, in order of time.
        columns: The maximum length of a line.
    """
    if len(samples) < 3:
        return {}
    pairs = list(pairwise(samples))
    return {
        "in flight": _line([float(each.in_flight) for each in samples], columns),
        "throttled": _line(
            [float(after.throttles - before.throttles) for before, after in pairs], columns
        ),
        "done": _line([float(after.done - before.done) for before, after in pairs], columns),
    }


def _line(values: Sequence[float], columns: int) -> str:
    parts = _gathered(values, columns)
    most = max(parts)
    if most <= 0:
        return " " * len(parts)
    top = len(_LEVELS) - 1
    return "".join(" " if each <= 0 else _LEVELS[round(each / most * top)] for each in parts)


def _gathered(values: Sequence[float], columns: int) -> list[float]:
    """Return the values averaged into that many parts, or unchanged if there are fewer."""
    if len(values) <= columns:
        return list(values)
    edges = [round(number * len(values) / columns) for number in range(columns + 1)]
    parts = [values[begin:end] for begin, end in pairwise(edges)]
    return [sum(part) / len(part) for part in parts]
