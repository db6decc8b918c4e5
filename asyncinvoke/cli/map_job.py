"""One run of `asyncinvoke map`: outcomes to their writer, progress, and an honest last word."""

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial

import anyio
import click

from asyncinvoke import ConfigurationError, Invoker, MapRun, ToleranceExceededError
from asyncinvoke.cli import summary, waiting
from asyncinvoke.cli.errors import FAILED, IN_DOUBT, CommandError, one_line
from asyncinvoke.cli.lines import Line
from asyncinvoke.cli.outcomes import OutcomeWriter
from asyncinvoke.cli.progress import (
    Counts,
    Display,
    JsonLines,
    Rate,
    Silent,
    as_json,
    show_progress,
)
from asyncinvoke.cli.running import Interrupt, beside
from asyncinvoke.cli.source import Source
from asyncinvoke.cli.streams import STDERR, Output
from asyncinvoke.cli.summary import Tally

AHEAD = 16
"""How many outcomes beyond the concurrency may wait for an earlier one."""

LAST_WRITES = 5.0
"""Seconds that an interrupted run gives a slow reader to take what is done."""


class MapJob:
    """Reads for a run, writes for it, and tells how far it is.

    Args:
        invoker: What the run runs on.
        source: The input.
        concurrency: The run's.
        ordered: Whether outcomes are written in the order of the input. The run itself gives them
            as they end, so that an interrupted one can still write all that is done.
        verb: What lines have done that did not fail.
        idempotent: Whether attempts are repeated after which the function may have run.
        display: Shows how far it is.
        progress: How it is shown: `none` leaves the summary out, and with `json` it is JSON.
    """

    def __init__(
        self,
        invoker: Invoker,
        *,
        source: Source,
        concurrency: int,
        ordered: bool,
        verb: str,
        idempotent: bool,
        display: Display,
        progress: str,
    ) -> None:
        self._invoker = invoker
        self._source = source
        self._window = anyio.Semaphore(concurrency + AHEAD) if ordered else None
        self._ordered = ordered
        self._verb = verb
        self._idempotent = idempotent
        self._progress = progress
        self._display = display
        self._began = time.monotonic()
        self._rate = Rate()
        self._read = 0
        self._last_line = 0
        self._total: int | None = None
        self._tally = Tally()
        self._writer: OutcomeWriter

    async def read(self) -> AsyncIterator[Line]:
        """Read the input, in an ordered run no further ahead of what is written than need be."""
        async with aclosing(self._source.read()) as lines:
            async for line in lines:
                if self._window is not None:
                    await self._window.acquire()
                self._read += 1
                self._last_line = line.number
                yield line

    async def work(self, run: MapRun, output: Output, interrupt: Interrupt) -> int:
        """Write all outcomes, or after a signal those that are there; give the exit status.

        Raises:
            Exception: What ended the run early, once all that is done is written and said.
        """
        self._writer = OutcomeWriter(output, self._tally, ordered=self._ordered)
        is_over = False
        try:
            async with beside(self._show, partial(self._watch, run), self._find_total):
                with interrupt.block():
                    await self._write_all(run)
                    is_over = True
            if interrupt.signal is not None:
                await self._write_the_rest(run)
        except BrokenPipeError:
            raise
        except ToleranceExceededError:
            await self._write_the_rest(run)
            self._summarise(self._left(run))
            raise
        except ConfigurationError as error:
            if not self._tally.done:
                raise
            self._summarise(self._left(run))
            # Status 2 would say that nothing was sent.
            raise CommandError(str(error), status=FAILED) from error
        except Exception:
            self._summarise(self._left(run))
            raise
        self._summarise(None if is_over else self._left(run))
        if self._tally.in_doubt:
            return IN_DOUBT
        return FAILED if self._tally.failed else 0

    def nothing_was_read(self) -> None:
        """Say that a signal came before the first line."""
        self._summarise(summary.Left(without_outcome=0, may_have_run=0, last_line=0))

    async def _write_all(self, run: MapRun) -> None:
        async for outcome in run:
            written = await self._writer.add(outcome)
            if self._window is not None:
                for _ in range(written):
                    self._window.release()

    async def _write_the_rest(self, run: MapRun) -> None:
        run.stop()
        with anyio.move_on_after(LAST_WRITES) as limited:
            while run.statistics().buffered:
                await self._writer.add(await anext(run))
            await self._writer.finish()
        if limited.cancelled_caught:
            click.echo("nobody reads the output: the last outcomes are not written", err=True)

    def _left(self, run: MapRun) -> summary.Left:
        statistics = run.statistics()
        without_outcome = self._read - statistics.succeeded - statistics.failed
        # Only where it is safe is anything repeated that may have run.
        may_have_run = (
            statistics.working if self._idempotent else self._invoker.statistics().in_flight
        )
        return summary.Left(
            without_outcome=without_outcome,
            may_have_run=min(may_have_run, without_outcome),
            not_written=self._writer.not_written + statistics.buffered,
            last_line=self._last_line,
        )

    async def _show(self) -> None:
        await show_progress(self._display, self._count)

    async def _watch(self, run: MapRun) -> None:
        watch = waiting.Watch()
        while True:
            moment = waiting.Moment(
                elapsed=time.monotonic() - self._began,
                working=run.statistics().working,
                done=self._tally.done,
                statistics=self._invoker.statistics(),
            )
            said = watch.look(moment)
            if said is not None:
                self._display.note(one_line(said))
            await anyio.sleep(waiting.INTERVAL)

    async def _find_total(self) -> None:
        self._total = await self._source.count()

    def _count(self) -> Counts:
        elapsed = time.monotonic() - self._began
        statistics, tally = self._invoker.statistics(), self._tally
        return Counts(
            elapsed=elapsed,
            succeeded=tally.succeeded,
            failed=tally.failed,
            in_flight=statistics.in_flight,
            throttles=sum(statistics.throttles.values()),
            total=self._total,
            rate=self._rate.at(elapsed, tally.done),
        )

    def _summarise(self, left: summary.Left | None) -> None:
        if self._progress == "none":
            return
        counts, tally = self._count(), self._tally
        if self._progress == "json":
            said = [json.dumps(summary.as_json(as_json(counts), tally, left))]
        else:
            said = summary.as_text(counts, tally, left, verb=self._verb)
        click.echo("\n".join(said), err=True)


def choose_display(progress: str, *, writes_to: int | None) -> Display:
    """Return what shows the progress.

    Args:
        progress: `auto`, `bar`, `json` or `none`.
        writes_to: The descriptor that outcomes go to, unless that is a file of our own. A bar on
            the terminal that they scroll through would only be in their way.
    """
    if progress == "json":
        return JsonLines()
    if progress == "none" or not (progress == "bar" or os.isatty(STDERR)):
        return Silent()
    if progress == "auto" and writes_to is not None and os.isatty(writes_to):
        return Silent()
    from asyncinvoke.cli.live import Screen, bar_or_lines

    return bar_or_lines(Screen(stderr=True))
