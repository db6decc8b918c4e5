"""The arithmetic of a comparison: interleaved rounds, medians with their spread, paired ratios."""

import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TypedDict


class Spread(TypedDict):
    """What several rounds came to."""

    median: float
    low: float
    high: float


def interleaved(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Return each name once a round, and another one first each time."""
    for number in range(rounds):
        first = number % len(names)
        yield from names[first:]
        yield from names[:first]


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the extremes."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def ratios(values: Sequence[float], baseline: Sequence[float]) -> Spread:
    """Compare each round with the baseline's in the same round."""
    return spread([value / base for value, base in zip(values, baseline, strict=True)])


def scaled(value: Spread, factor: float) -> Spread:
    """Return it in another unit."""
    return {
        "median": value["median"] * factor,
        "low": value["low"] * factor,
        "high": value["high"] * factor,
    }


def machine() -> str:
    """Say what the figures were measured on."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiobotocore", "aiohttp"))
    return (
        f"Python {platform.python_version()}, {libraries}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    )
