"""The progress of a run: counts, their wording, and the loop that shows them. Renders nothing itself."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import anyio
import click

from asyncinvoke.cli.errors import say

PAUSED = "paused: asyncinvoke runs unpause continues it"
"""The text for a run that is paused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The progress of a run at one time."""

    elapsed: float
    """Seconds since it began."""

    succeeded: int
    """The number of outcomes without an error."""

    failed: int
    """The number of outcomes with an error."""

    in_flight: int
    """The number of attempts in flight."""

    throttles: int
    """The number of attempts that were throttled."""

    total: int | None = None
    """The expected number of outcomes; `None` while unknown."""

    earlier: int = 0
    """How many of them are from earlier sessions of the run."""

    rate: float = 0.0
    """Outcomes per second, recently."""

    pace: float = 0.0
    """Outcomes per second expected for the rest."""

    held_back: str | None = None
    """The bottleneck of the run as text, if there is one."""

    @property
    def done(self) -> int:
        """Outcomes so far, of this session."""
        return self.succeeded + self.failed

    @property
    def ended(self) -> int:
        """Outcomes so far, of all sessions."""
        return self.earlier + self.done

    @property
    def eta(self) -> float | None:
        """Seconds until the end at the current pace; `None` while unknown."""
        if self.total is None or not self.pace:
            return None
        return max(self.total - self.ended, 0) / self.pace


class Display(Protocol):
    """Shows the progress at intervals."""

    interval: float
    """Seconds between two updates."""

    def show(self, counts: Counts) -> None:
        """Show the counts, in place of the previous ones or below them."""
        ...

    def note(self, text: str) -> None:
        """Print a message that stays."""
        ...

    def close(self) -> None:
        """Restore the terminal."""
        ...


class Silent:
    """No progress; notes are printed nevertheless."""

    interval: float = 3600.0

    def show(self, counts: Counts) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Write the note."""
        say(text)

    def close(self) -> None:
        """Do nothing."""


class JsonLines(Silent):
    """One JSON object on stderr per second."""

    interval: float = 1.0

    def show(self, counts: Counts) -> None:
        """Write the object."""
        click.echo(json.dumps(as_json(counts)), err=True)

    def note(self, text: str) -> None:
        """Write the note as an object of its own."""
        click.echo(json.dumps({"note": text}), err=True)


class TextLines(Silent):
    """A line of text on stderr at intervals: progress without a terminal."""

    def __init__(self, interval: float = 5.0) -> None:
        self.interval: float = interval

    def show(self, counts: Counts) -> None:
        """Write the line."""
        if counts.done or counts.elapsed >= self.interval:
            held = () if counts.held_back is None else (counts.held_back,)
            said = " · ".join((*progressed(counts), *described(counts), *held))
            click.echo(f"  {said}", err=True)


async def show_progress(display: Display, count: Callable[[], Counts]) -> None:
    """Show the counts until cancelled."""
    try:
        while True:
            display.show(count())
            await anyio.sleep(display.interval)
    finally:
        display.close()


def as_json(counts: Counts) -> dict[str, object]:
    """Return the counts as `--progress json` writes them."""
    return {
        "elapsed": round(counts.elapsed, 3),
        "done": counts.done,
        "earlier": counts.earlier,
        "total": counts.total,
        "ok": counts.succeeded,
        "failed": counts.failed,
        "in_flight": counts.in_flight,
        "throttles": counts.throttles,
        "rate": round(counts.rate, 1),
        "eta": None if counts.eta is None else round(counts.eta, 1),
        "held_back": counts.held_back,
    }


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in singular or plural."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def progressed(counts: Counts) -> list[str]:
    """Return progress and time, in at most 60 columns together."""
    total = "" if counts.total is None else f"/{counts.total:,}"
    parts = [f"{counts.ended:,}{total}", f"{counts.rate:,.0f}/s", _clock(counts.elapsed)]
    if counts.eta is not None:
        parts.append(f"ETA {_clock(counts.eta)}")
    return parts


def described(counts: Counts) -> list[str]:
    """Return further details, in at most 60 columns together."""
    parts = [f"{counts.in_flight:,} in flight", f"{counts.throttles:,} throttled"]
    if counts.failed:
        parts.insert(0, f"{counts.failed:,} failed")
    return parts


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(min(seconds, _LONGEST_SHOWN)), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


_LONGEST_SHOWN = 359_999
"""99 hours, 59 minutes and 59 seconds."""
