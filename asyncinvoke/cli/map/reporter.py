"""Reports on a run: its progress, what it waits for, and the summary at its end."""

import json
import os
import time
from functools import partial

import anyio
import click

from asyncinvoke import Invoker, MapRun, MapStatistics, Shard
from asyncinvoke.cli.errors import one_line, say
from asyncinvoke.cli.map import ending, pace, summary
from asyncinvoke.cli.map.pace import HeldBack, Pace
from asyncinvoke.cli.map.progress import (
    PAUSED,
    Counts,
    Display,
    JsonLines,
    Silent,
    TextLines,
    as_json,
    show_progress,
)
from asyncinvoke.cli.map.source import ItemSource
from asyncinvoke.cli.map.summary import OutcomeCounts
from asyncinvoke.cli.streams import STDERR
from asyncinvoke.runs import RunSummary

WITHOUT_TERMINAL = 60.0
"""Seconds between two lines of progress when it is not shown on a terminal."""


class RunReporter:
    """Reports on one run, from the statistics of its invoker and the outcomes so far.

    Args:
        invoker: Executes the calls.
        tally: The outcomes so far.
        source: The input, which may know its length.
        shard: The part of the input that is processed; `None` for all of it.
        is_keyed: Whether keys decide which items belong to the shard.
        verb: The word for lines that did not fail.
        display: Shows the progress.
        progress: The format of the summary: `json` for JSON, `none` for no summary.
    """

    def __init__(
        self,
        invoker: Invoker,
        tally: OutcomeCounts,
        *,
        source: ItemSource,
        shard: Shard | None,
        is_keyed: bool,
        verb: str,
        display: Display,
        progress: str,
    ) -> None:
        self._invoker = invoker
        self._tally = tally
        self._source = source
        self._shard = shard
        self._is_keyed = is_keyed
        self._verb = verb
        self._display = display
        self._progress = progress
        self._began = time.monotonic()
        self._pace = Pace()
        self._held_back = HeldBack()
        self.total: int | None = None
        """The expected number of outcomes; `None` while unknown."""
        self.earlier: int = 0
        """How many of them are from earlier sessions of the run."""

    async def show(self, run: MapRun) -> None:
        """Show the progress until cancelled."""
        await show_progress(self._display, partial(self.count, run))

    async def watch(self, run: MapRun) -> None:
        """Say what is wrong if the run does not get on, until cancelled."""
        watch = pace.Watch()
        while True:
            standing = run.statistics()
            moment = pace.RunState(
                elapsed=time.monotonic() - self._began,
                working=standing.working,
                done=self._tally.done,
                statistics=self._invoker.statistics(),
                recorded=standing.recorded,
                waiting_for=standing.waiting_for,
            )
            said = watch.check(moment)
            if said is not None and not standing.paused:
                self._display.note(one_line(said))
            await anyio.sleep(pace.INTERVAL)

    async def find_total(self) -> None:
        """Find out how many outcomes to expect, if that can be known."""
        total = await self._source.count()
        # How many keys belong to the shard is not known before they are read.
        if total is not None and self._shard is not None:
            total = None if self._is_keyed else self._shard.count(total)
        self.total = total

    def count(self, run: MapRun | None = None) -> Counts:
        """Return the progress so far."""
        elapsed = time.monotonic() - self._began
        statistics, tally = self._invoker.statistics(), self._tally
        moment = None if run is None else run.statistics()
        allowed = min(scope.limit for scope in statistics.scopes)
        if moment is not None:
            allowed = min(allowed, moment.concurrency)
        rate, pace = self._pace.at(elapsed, tally.done, allowed)
        return Counts(
            elapsed=elapsed,
            succeeded=tally.succeeded,
            failed=tally.failed,
            in_flight=statistics.in_flight,
            throttles=sum(statistics.throttles.values()),
            total=self.total,
            earlier=self.earlier,
            rate=rate,
            pace=pace,
            held_back=None if moment is None else self._held_by(elapsed, moment),
        )

    def _held_by(self, elapsed: float, moment: MapStatistics) -> str | None:
        held = self._held_back.at(elapsed, moment.waiting_for)
        return PAUSED if moment.paused else held

    def summarise(self, left: summary.Remaining | None) -> None:
        """Print the summary of a run, and what is left if it has not ended."""
        if self._progress == "none":
            return
        counts, tally = self.count(), self._tally
        if self._progress == "json":
            click.echo(json.dumps(summary.as_json(as_json(counts), tally, left)), err=True)
        else:
            say(*summary.as_text(counts, tally, left, verb=self._verb))

    def summarise_session(self, whole: RunSummary | None) -> None:
        """Print the summary of a session, and of its whole run if that can be read."""
        if self._progress == "none":
            return
        if self._progress == "json":
            last = summary.as_json(as_json(self.count()), self._tally, None)
            if whole is not None:
                last["run"] = ending.as_json(whole)
            click.echo(json.dumps(last), err=True)
            return
        said = summary.as_text(self.count(), self._tally, None, verb=self._verb, is_recorded=True)
        if whole is not None:
            said += ending.closing_lines(whole, verb=self._verb)
        say(*said)


def choose_display(progress: str, *, writes_to: int | None) -> Display:
    """Return the display of the progress.

    Args:
        progress: `auto`, `bar`, `json` or `none`.
        writes_to: The descriptor that outcomes are written to, unless it is a file that this
            command opened. A bar would disturb outcomes that scroll through the same terminal.
    """
    if progress == "json":
        return JsonLines()
    if progress == "none":
        return Silent()
    if progress == "auto" and not os.isatty(STDERR):
        return TextLines(WITHOUT_TERMINAL)
    if progress == "auto" and writes_to is not None and os.isatty(writes_to):
        return Silent()
    from asyncinvoke.cli.map.live import Screen, bar_or_lines

    return bar_or_lines(Screen(stderr=True))
