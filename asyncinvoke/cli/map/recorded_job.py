"""One session of a recorded run: continued, controlled, drained, with each line written once."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import click

from asyncinvoke import JournalError, MapRun, Outcome
from asyncinvoke._report.prices import NOTE as LOGS
from asyncinvoke._report.standing import TOTAL, UNRECORDED, is_recorded
from asyncinvoke.cli.errors import FAILED, WRONG_USAGE, CommandError
from asyncinvoke.cli.map import ending, summary
from asyncinvoke.cli.map.continued import ContinuedWriter
from asyncinvoke.cli.map.job import LAST_WRITES, MapJob
from asyncinvoke.cli.map.outcomes import as_line
from asyncinvoke.cli.map.progress import as_json, show_progress
from asyncinvoke.cli.map.sampling import Reports
from asyncinvoke.cli.map.source import LineNumbers
from asyncinvoke.cli.running import Interrupt, beside
from asyncinvoke.cli.runs.obeying import Obedience
from asyncinvoke.cli.runs.wishes import wishes_path
from asyncinvoke.cli.streams import Output
from asyncinvoke.runs import open_run


class RecordedJob(MapJob):
    """Runs one session of a recorded run.

    Args:
        path: The journal.
        grace: Seconds that what is in flight has to end after a signal.
        keyed: Whether items are known by keys.
        lines: The lines of items that are known from before.
        settings: Those of `MapJob`.
    """

    def __init__(
        self, *, path: str, grace: float, keyed: bool, lines: LineNumbers, **settings: Any
    ) -> None:
        super().__init__(**settings, ordered=False)
        self._keyed = keyed
        self._unrecorded = 0
        self._path = path
        self._grace = grace
        self._numbers = lines
        self._file: ContinuedWriter | None = None
        self._reports: Reports | None = None
        self._stream: Output | None = None
        self._is_ended_by_wish = False
        self._unwritten: Exception | None = None

    def continues(self, earlier: int) -> None:
        """Learn how many items earlier sessions have ended."""
        self._earlier = earlier

    def reads_logs(self, reports: Reports) -> None:
        """Learn that some answers have the end of their log, and what was read of these so far."""
        self._reports = reports

    def writes_to(self, file: ContinuedWriter | None, stream: Output | None) -> None:
        """Learn where outcomes go: to a file that is continued, to a stream as they come, or not."""
        self._file, self._stream = file, stream

    async def session(self, run: MapRun, interrupt: Interrupt, *, number: int) -> None:
        """Work until the run is over, drained or left.

        Raises:
            Exception: What ended it early, once all that is done is written.
        """
        obedience = Obedience(
            wishes_path(self._path),
            run,
            session=number,
            stop=partial(self._stop, run, interrupt),
            say=self._display.note,
        )
        obedience.look()
        show = partial(show_progress, self._display, partial(self._count, run))
        tasks = (
            show,
            partial(self._watch, run),
            partial(self._keep_total, run),
            obedience.watch,
        )
        is_over = False
        try:
            async with beside(*tasks):
                with interrupt.block(drain=partial(self._drain, run), grace=self._grace):
                    if self._file is not None:
                        await self._try_to_write(self._file.catch_up, run, interrupt)
                    async for outcome in run:
                        await self._take(run, outcome, interrupt)
                    is_whole = self._unwritten is None and not run.statistics().stopped
                    if self._file is not None and is_whole:
                        await self._file.finish()
                    is_over = True
            if not is_over:
                await self._take_what_is_there(run, interrupt)
            if self._unwritten is not None:
                raise self._unwritten
            if self._file is not None:
                self._file.check_in_place()
        except JournalError as error:
            raise self._as_ended(error) from error

    def _as_ended(self, error: JournalError) -> CommandError:
        """Return what a journal that cannot be used ends the command with, by what was sent."""
        # Status 2 would say that nothing was sent.
        status = FAILED if self._invoker.statistics().attempts else WRONG_USAGE
        return CommandError(str(error), status=status)

    def end(self, error: Exception | None) -> int:
        """Say what came of it, once the journal is closed; give the exit status."""
        if isinstance(error, JournalError):  # of its last commit
            error = self._as_ended(error)
        if isinstance(error, CommandError) and error.status == WRONG_USAGE:
            raise error  # nothing was sent, and there is nothing to tell
        try:
            with open_run(self._path) as recorded:
                whole = recorded.summary()
        except JournalError as gone:
            if self._progress not in ("json", "none"):
                said = summary.as_text(
                    self._count(), self._tally, None, verb=self._verb, is_recorded=True
                )
                click.echo("\n".join(said), err=True)
            raise error or self._as_ended(gone) from gone
        is_whole = whole.complete
        if self._progress == "json":
            counts = summary.as_json(as_json(self._count()), self._tally, None)
            click.echo(json.dumps({**counts, "run": ending.as_json(whole)}), err=True)
        elif self._progress != "none":
            said = summary.as_text(
                self._count(), self._tally, None, verb=self._verb, is_recorded=True
            )
            said += ending.last_words(whole, verb=self._verb, is_whole=is_whole)
            click.echo("\n".join(said), err=True)
        if error is not None:
            raise error
        return ending.exit_status(
            whole,
            failed=self._tally.failed,
            is_stopped=self._is_ended_by_wish and not is_whole,
        )

    def _keep_line(self, position: int, line: int) -> None:
        self._numbers.add(position, line)

    async def _take(self, run: MapRun, outcome: Outcome, interrupt: Interrupt) -> None:
        if self._reports is not None and self._reports.add(outcome):
            run.note(LOGS, self._reports.as_note())
        line = self._numbers.get(outcome.index)
        self._tally.add(outcome, line)
        if not is_recorded(outcome, keyed=self._keyed):
            self._unrecorded += 1
            run.note(UNRECORDED, self._unrecorded)
        if self._file is not None:
            add = partial(self._file.add, outcome, is_stopped=run.statistics().stopped)
            await self._try_to_write(add, run, interrupt)
        elif self._stream is not None:
            write = partial(self._stream.write, as_line(outcome, line))
            await self._try_to_write(write, run, interrupt)

    async def _try_to_write(
        self, write: Callable[[], Awaitable[object]], run: MapRun, interrupt: Interrupt
    ) -> None:
        """Write, unless that has failed before; the first failure lets what is in flight end.

        Left at once, it would be in doubt, though its outcomes are to be had, and recorded.
        """
        if self._unwritten is not None:
            return
        try:
            await write()
        except (CommandError, BrokenPipeError) as error:
            self._unwritten = error
            interrupt.let_end(partial(self._drain, run, "the output cannot be written: ", ""))

    async def _take_what_is_there(self, run: MapRun, interrupt: Interrupt) -> None:
        with anyio.move_on_after(LAST_WRITES):
            while run.statistics().buffered:
                await self._take(run, await anext(run), interrupt)

    def _drain(self, run: MapRun, why: str = "", again: str = " again") -> None:
        run.stop()
        in_flight = self._invoker.statistics().in_flight
        if not in_flight and not why:
            return
        self._display.note(
            f"{why}waiting up to {self._grace:g} s for {in_flight:,} in flight; "
            f"Ctrl-C{again} abandons them"
        )

    def _stop(self, run: MapRun, interrupt: Interrupt, now: bool) -> None:
        self._is_ended_by_wish = True
        run.stop()
        if now:
            self._display.note("abandoning calls in flight, as requested")
            interrupt.leave()
        else:
            in_flight = self._invoker.statistics().in_flight
            self._display.note(f"waiting for {in_flight:,} in flight, as requested")

    async def _keep_total(self, run: MapRun) -> None:
        await self._find_total()
        if self._total is not None:
            run.note(TOTAL, self._total)
