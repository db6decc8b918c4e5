"""One run of `asyncinvoke map`: its input read, its outcomes written, its exit status."""

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
    Outcome,
    Shard,
    ToleranceExceededError,
)
from asyncinvoke.cli.errors import FAILED, IN_DOUBT, CommandError
from asyncinvoke.cli.map import summary
from asyncinvoke.cli.map.outcomes import OutcomeWriter
from asyncinvoke.cli.map.progress import Display
from asyncinvoke.cli.map.reporter import RunReporter
from asyncinvoke.cli.map.source import ItemSource, is_of
from asyncinvoke.cli.map.summary import OutcomeCounts
from asyncinvoke.cli.running import Interrupt, beside
from asyncinvoke.cli.streams import Output
from asyncinvoke.inputs import InputError, Item

AHEAD = 16
"""The number of outcomes, beyond the concurrency, that may wait for an earlier one."""

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
        self._invoker = invoker
        self._source = source
        self._window = anyio.Semaphore((concurrency + AHEAD) * batch) if ordered else None
        self._ordered = ordered
        self._idempotent = idempotent
        self._display = display
        self._read = 0
        self.position: int = -1
        """The position of the last item that was read."""
        self._last_line = 0
        self._lines: dict[int, int] = {}
        self._due: deque[int] = deque()
        self._tally = OutcomeCounts()
        self._reporter = RunReporter(
            invoker,
            self._tally,
            source=source,
            shard=shard,
            is_keyed=is_keyed,
            verb=verb,
            display=display,
            progress=progress,
        )
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
        reporter, is_over = self._reporter, False
        try:
            async with beside(
                partial(reporter.show, run), partial(reporter.watch, run), reporter.find_total
            ):
                with interrupt.block():
                    await self._write_all(run)
                    is_over = True
            if interrupt.signal is not None:
                await self._write_the_rest(run)
        except BrokenPipeError:
            raise
        except ToleranceExceededError:
            await self._write_the_rest(run)
            reporter.summarise(self._left(run))
            raise
        except ConfigurationError as error:
            if not self._tally.done:
                raise
            reporter.summarise(self._left(run))
            # Status 2 would say that nothing was sent.
            raise CommandError(str(error), status=FAILED) from error
        except Exception:
            reporter.summarise(self._left(run))
            raise
        reporter.summarise(None if is_over else self._left(run))
        if self._tally.in_doubt:
            return IN_DOUBT
        return FAILED if self._tally.failed else 0

    def nothing_was_read(self) -> None:
        """Print the summary of a run that a signal ended before its first line."""
        self._reporter.summarise(summary.Remaining(without_outcome=0, may_have_run=0, last_line=0))

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
            click.echo("nobody reads the output: the last outcomes are not written", err=True)

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
