"""One run of `asyncinvoke map`: outcomes to the output, progress, and the closing message."""

import json
import os
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import anyio
import click

from asyncinvoke import (
    ConfigurationError,
    Invoker,
    MapRun,
    MapStatistics,
    Outcome,
    Shard,
    ToleranceExceededError,
)
from asyncinvoke.cli.errors import FAILED, IN_DOUBT, CommandError, one_line, say
from asyncinvoke.cli.map import pace, summary
from asyncinvoke.cli.map.outcomes import OutcomeWriter
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
from asyncinvoke.cli.map.source import ItemSource, is_of
from asyncinvoke.cli.map.summary import OutcomeCounts
from asyncinvoke.cli.running import Interrupt, beside
from asyncinvoke.cli.streams import STDERR, Output
from asyncinvoke.inputs import InputError, Item

AHEAD = 16
"""The number of outcomes, beyond the concurrency, that may wait for an earlier one."""

WITHOUT_TERMINAL = 60.0
"""Seconds between two lines of progress when it is not shown on a terminal."""

LAST_WRITES = 5.0
"""Seconds that an interrupted run waits for a slow reader to take finished outcomes."""

WITHDRAWAL = 0.01
"""Seconds between two checks whether the items that were not sent have left an interrupted run."""


class MapJob:
    """Reads the input of a run, writes its outcomes, and reports its progress.

    Args:
        invoker: Executes the calls.
        source: The input.
        concurrency: The number of lines, or batches, in progress at once.
        batch: The number of lines per invocation.
        shard: The part of the input to process; `None` for all of it.
        ordered: Whether outcomes are written in input order. The map itself yields them as they
            end, so that an interrupted run can still write every finished one.
        verb: The word for lines that did not fail.
        idempotent: Whether attempts after which the function may have run are repeated.
        display: Shows the progress.
        progress: The format of the summary: `json` for JSON, `none` for no summary.
        is_keyed: Whether keys decide which items belong to the shard.
    """

    def __init__(
        self,
        invoker: Invoker,
        *,
        source: ItemSource,
        concurrency: int,
        ordered: bool,
        verb: str,
        idempotent: bool,
        display: Display,
        progress: str,
        shard: Shard | None = None,
        is_keyed: bool = False,
        batch: int = 1,
    ) -> None:
        self._batch = batch
        self._shard = shard
        self._is_keyed = is_keyed
        self._invoker = invoker
        self._source = source
        self._window = anyio.Semaphore((concurrency + AHEAD) * batch) if ordered else None
        self._ordered = ordered
        self._verb = verb
        self._idempotent = idempotent
        self._progress = progress
        self._display = display
        self._began = time.monotonic()
        self._pace = Pace()
        self._held_back = HeldBack()
        self._read = 0
        self.position: int = -1
        """The position of the last item that was read."""
        self._last_line = 0
        self._lines: dict[int, int] = {}
        self._due: deque[int] = deque()
        self._total: int | None = None
        self._earlier = 0
        self._tally = OutcomeCounts()
        self._writer: OutcomeWriter

    async def read(self) -> AsyncGenerator[Item, None]:
        """Read the input; in an ordered run, at most a fixed number of items ahead of the output."""
        try:
            async with aclosing(self._source.items()) as items:
                async for item in items:
                    self.position = item.position
                    self._last_line = item.line or item.position + 1
                    if self._shard is None or is_of(self._shard, item):
                        await self._note(item)
                    yield item  # the map skips those of other shards
        except InputError as error:
            # Status 2 would say that nothing was sent.
            raise CommandError(str(error), status=FAILED) from error

    async def _note(self, item: Item) -> None:
        if self._window is not None:
            await self._window.acquire()
            self._due.append(item.position)
        self._read += 1
        if item.line is not None:
            self._keep_line(item.position, item.line)

    async def work(self, run: MapRun, output: Output, interrupt: Interrupt) -> int:
        """Write all outcomes, or after a signal the finished ones; return the exit status.

        Raises:
            Exception: An error ended the run early. Finished outcomes and the summary are written.
        """
        due = self._due if self._ordered else None
        self._writer = OutcomeWriter(output, self._tally, due=due)
        is_over = False
        try:
            show = partial(show_progress, self._display, partial(self._count, run))
            async with beside(show, partial(self._watch, run), self._find_total):
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
        """Print the summary of a run that a signal ended before its first line."""
        self._summarise(summary.Remaining(without_outcome=0, may_have_run=0, last_line=0))

    async def _write_all(self, run: MapRun) -> None:
        async for outcome in run:
            written = await self._add(outcome)
            if self._window is not None:
                for _ in range(written):
                    self._window.release()

    def _keep_line(self, position: int, line: int) -> None:
        self._lines[position] = line

    async def _add(self, outcome: Outcome) -> int:
        return await self._writer.add(outcome, self._lines.pop(outcome.index, None))

    async def _write_the_rest(self, run: MapRun) -> None:
        run.stop()
        with anyio.move_on_after(LAST_WRITES) as limited:
            # Items that wait to be sent are withdrawn: with an outcome if an earlier attempt may have run.
            while self._begun(run) > self._in_flight():  # noqa: ASYNC110  # there is no event to wait for
                await anyio.sleep(WITHDRAWAL)
            while run.statistics().buffered:
                await self._add(await anext(run))
            await self._writer.finish()
        if limited.cancelled_caught:
            click.echo("the reader closed the output: the last outcomes are not written", err=True)

    def _left(self, run: MapRun) -> summary.Remaining:
        statistics = run.statistics()
        without_outcome = self._read - statistics.succeeded - statistics.failed
        invoker = self._invoker.statistics()
        connecting, waiting = sum(invoker.connecting.values()), 0
        if self._idempotent:  # they may have run in an earlier attempt
            connecting = max(connecting - invoker.retries, 0)
            waiting = max(self._begun(run) - self._in_flight(), 0)
        may_have_run = (invoker.in_flight - connecting) * self._batch + waiting
        return summary.Remaining(
            without_outcome=without_outcome,
            may_have_run=min(may_have_run, without_outcome),
            not_written=self._writer.not_written + statistics.buffered,
            last_line=self._last_line,
        )

    def _begun(self, run: MapRun) -> int:
        """Return the number of items that workers have taken; the rest wait for a worker."""
        statistics = run.statistics()
        return min(statistics.working, statistics.concurrency * self._batch)

    def _in_flight(self) -> int:
        """Return the maximum number of items whose attempts are in flight."""
        return self._invoker.statistics().in_flight * self._batch

    async def _watch(self, run: MapRun) -> None:
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

    async def _find_total(self) -> None:
        total = await self._source.count()
        # How many keys belong to the shard is not known before they are read.
        if total is not None and self._shard is not None:
            total = None if self._is_keyed else self._shard.count(total)
        self._total = total

    def _count(self, run: MapRun | None = None) -> Counts:
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
            total=self._total,
            earlier=self._earlier,
            rate=rate,
            pace=pace,
            held_back=None if moment is None else self._held_by(elapsed, moment),
        )

    def _held_by(self, elapsed: float, moment: MapStatistics) -> str | None:
        held = self._held_back.at(elapsed, moment.waiting_for)
        return PAUSED if moment.paused else held

    def _summarise(self, left: summary.Remaining | None) -> None:
        if self._progress == "none":
            return
        counts, tally = self._count(), self._tally
        if self._progress == "json":
            click.echo(json.dumps(summary.as_json(as_json(counts), tally, left)), err=True)
        else:
            say(*summary.as_text(counts, tally, left, verb=self._verb))


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
