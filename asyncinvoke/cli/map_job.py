"""One run of `asyncinvoke map`: outcomes to their writer, progress, and an honest last word."""

import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import anyio
import click

from asyncinvoke import Invoker, MapRun
from asyncinvoke.cli import jsonl, streams
from asyncinvoke.cli.errors import FAILED
from asyncinvoke.cli.outcomes import OutcomeWriter
from asyncinvoke.cli.progress import (
    Counts,
    Display,
    JsonLines,
    Rate,
    as_json,
    counted,
    show_progress,
)
from asyncinvoke.cli.running import Interrupt, Task, beside

AHEAD = 16
"""How many outcomes beyond the concurrency may wait for an earlier one."""

LAST_WRITES = 5.0
"""Seconds that an interrupted run gives a slow reader to take what is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What an unfinished run leaves behind."""

    without_outcome: int
    """Lines that were read and have no outcome."""

    may_have_run: int
    """Those of them that have reached the function, or may have."""

    last_line: int
    """Number of the last line that was read."""


class MapJob:
    """Reads for a run, writes for it, and tells how far it is.

    Args:
        invoker: What the run runs on.
        source: The name of the input; `-` for standard input.
        concurrency: The run's.
        ordered: Whether outcomes are written in the order of the input. The run itself gives them
            as they end, so that an interrupted one can still write all that is done.
        idempotent: Whether attempts are repeated after which the function may have run.
        progress: `auto`, `bar`, `json` or `none`.
    """

    def __init__(
        self,
        invoker: Invoker,
        *,
        source: str,
        concurrency: int,
        ordered: bool,
        idempotent: bool,
        progress: str,
    ) -> None:
        self._invoker = invoker
        self._source = source
        self._window = anyio.Semaphore(concurrency + AHEAD) if ordered else None
        self._ordered = ordered
        self._idempotent = idempotent
        self._progress = progress
        self._began = time.monotonic()
        self._rate = Rate()
        self._last_line = 0
        self._total: int | None = None
        self._writer: OutcomeWriter

    async def read(self, descriptor: int) -> AsyncIterator[jsonl.Line]:
        """Read the input, in an ordered run no further ahead of what is written than need be."""
        async with contextlib.aclosing(jsonl.read_lines(descriptor, self._source)) as lines:
            async for line in lines:
                if self._window is not None:
                    await self._window.acquire()
                self._last_line = line.number
                yield line

    async def work(self, run: MapRun, output: streams.Output, interrupt: Interrupt) -> int:
        """Write all outcomes, or after a signal those that are there; give the exit status."""
        self._writer = OutcomeWriter(output, ordered=self._ordered)
        left: Left | None = None
        try:
            async with beside(*self._showing()):
                with interrupt.block():
                    await self._write_all(run)
            if interrupt.signal is not None:
                await self._write_the_rest(run)
                left = self._left(run)
        except BrokenPipeError:
            raise
        except Exception:
            self._summarise(self._left(run))
            raise
        self._summarise(left)
        return FAILED if self._writer.failed else 0

    async def _write_all(self, run: MapRun) -> None:
        async for outcome in run:
            written = await self._writer.add(outcome)
            if self._window is not None:
                for _ in range(written):
                    self._window.release()

    async def _write_the_rest(self, run: MapRun) -> None:
        run.stop()
        with anyio.move_on_after(LAST_WRITES) as waiting:
            while run.statistics().buffered:
                await self._writer.add(await anext(run))
            await self._writer.finish()
        if waiting.cancelled_caught:
            click.echo("nobody reads the output: the last outcomes are not written", err=True)

    def _left(self, run: MapRun) -> Left:
        statistics = run.statistics()
        # Only where it is safe is anything repeated that may have run.
        may_have_run = (
            statistics.working if self._idempotent else self._invoker.statistics().in_flight
        )
        return Left(
            without_outcome=statistics.working,
            may_have_run=may_have_run,
            last_line=self._last_line,
        )

    def _showing(self) -> list[Task]:
        display = _display(self._progress)
        if display is None:
            return []
        tasks: list[Task] = [partial(show_progress, display, self._count)]
        if Path(self._source).is_file():
            tasks.append(self._find_total)
        return tasks

    async def _find_total(self) -> None:
        self._total = await jsonl.count_lines(Path(self._source))

    def _count(self) -> Counts:
        elapsed = time.monotonic() - self._began
        statistics = self._invoker.statistics()
        writer = self._writer
        return Counts(
            elapsed=elapsed,
            succeeded=writer.succeeded,
            failed=writer.failed,
            in_flight=statistics.in_flight,
            throttles=sum(statistics.throttles.values()),
            total=self._total,
            rate=self._rate.at(elapsed, writer.succeeded + writer.failed),
        )

    def _summarise(self, left: Left | None) -> None:
        if self._progress == "none":
            return
        counts, errors = self._count(), self._writer.errors
        if self._progress == "json":
            last = {**as_json(counts), "errors": errors, "left": left and asdict(left)}
            click.echo(json.dumps(last), err=True)
            return
        by_error = ", ".join(f"{count:,} {name}" for name, count in errors.most_common())
        click.echo(
            f"{counted(counts.done, 'outcome')} in {counts.elapsed:.1f} s "
            f"({counts.done / counts.elapsed:,.0f}/s): {counts.succeeded:,} succeeded, "
            f"{counts.failed:,} failed{f' ({by_error})' if by_error else ''}, "
            f"{counted(counts.throttles, 'throttled attempt')}",
            err=True,
        )
        if left is not None:
            click.echo(
                f"unfinished: {counted(left.without_outcome, 'line')} without an outcome, "
                f"{left.may_have_run:,} of them may have run; "
                f"no line after line {left.last_line} was sent",
                err=True,
            )


def _display(progress: str) -> Display | None:
    if progress == "none":
        return None
    if progress == "json":
        return JsonLines()
    from asyncinvoke.cli.live import Screen, bar_or_lines

    screen = Screen(stderr=True)
    return bar_or_lines(screen) if progress == "bar" or screen.is_interactive else None
