"""The arithmetic of a comparison: interleaved rounds, medians with their range, paired ratios."""

import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TypedDict


class Spread(TypedDict):
    """The median and range of several rounds."""

    median: float
    low: float
    high: float


def interleaved(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Return each name once per round, starting with a different one each time."""
    for number in range(rounds):
        first = number % len(names)
        yield from names[first:]
        yield from names[:first]


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the extremes."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def ratios(values: Sequence[float], baseline: Sequence[float]) -> Spread:
    """Return the ratios to the baseline in the same round."""
    return spread([value / base for value, base in zip(values, baseline, strict=True)])


def scaled(value: Spread, factor: float) -> Spread:
    """Return it scaled to another unit."""
    return {
        "median": value["median"] * factor,
        "low": value["low"] * factor,
        "high": value["high"] * factor,
    }


def machine() -> str:
    """Describe the machine and the versions."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiobotocore", "aiohttp"))
    return (
        f"Python {platform.python_version()}, {libraries}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    )
