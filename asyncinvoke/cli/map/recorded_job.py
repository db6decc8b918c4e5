"""One session of a recorded run: continued, controlled, drained, with each line written once."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio

from asyncinvoke import JournalError, MapRun, Outcome
from asyncinvoke._report.prices import NOTE as LOGS
from asyncinvoke._report.standing import TOTAL, UNRECORDED, is_recorded
from asyncinvoke.cli.errors import FAILED, WRONG_USAGE, CommandError
from asyncinvoke.cli.map import ending
from asyncinvoke.cli.map.continued import ContinuedWriter
from asyncinvoke.cli.map.job import LAST_WRITES, MapJob
from asyncinvoke.cli.map.outcomes import as_line
from asyncinvoke.cli.map.sampling import ReportSums
from asyncinvoke.cli.map.source import LineNumbers
from asyncinvoke.cli.running import Interrupt, beside
from asyncinvoke.cli.runs.control_file import control_path
from asyncinvoke.cli.runs.control_loop import ControlLoop
from asyncinvoke.cli.streams import Output
from asyncinvoke.runs import open_run


class RecordedJob(MapJob):
    """Runs one session of a recorded run.

    Args:
        path: The journal.
        grace: How long calls in flight may take after a signal, in seconds.
        keyed: Whether items are identified by keys.
        lines: The line numbers of items that earlier sessions have stored.
        settings: The arguments of `MapJob`.
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
        self._reports: ReportSums | None = None
        self._stream: Output | None = None
        self._is_stopped_on_request = False
        self._unwritten: Exception | None = None

    def continues(self, earlier: int) -> None:
        """Set the number of items that have ended in earlier sessions."""
        self._reporter.earlier = earlier

    def reads_logs(self, reports: ReportSums) -> None:
        """Collect the REPORT lines of sampled items, continuing these sums."""
        self._reports = reports

    def writes_to(self, file: ContinuedWriter | None, stream: Output | None) -> None:
        """Set the output: a file that is continued, a stream, or none."""
        self._file, self._stream = file, stream

    async def session(self, run: MapRun, interrupt: Interrupt, *, number: int) -> None:
        """Run the session until the run has ended, was drained, or is abandoned.

        Raises:
            Exception: An error ended it early. Finished outcomes are written.
        """
        control_loop = ControlLoop(
            control_path(self._path),
            run,
            session=number,
            stop=partial(self._stop, run, interrupt),
            say=self._display.note,
        )
        control_loop.check()
        tasks = (
            partial(self._reporter.show, run),
            partial(self._reporter.watch, run),
            partial(self._keep_total, run),
            control_loop.watch,
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
        """Return the error that ends the command if its journal is unusable."""
        # Status 2 would mean that nothing was sent.
        status = FAILED if self._invoker.statistics().attempts else WRONG_USAGE
        return CommandError(str(error), status=status)

    def end(self, error: Exception | None) -> int:
        """Print the summary, once the journal is closed; return the exit status."""
        if isinstance(error, JournalError):  # from its last commit
            error = self._as_ended(error)
        if isinstance(error, CommandError) and error.status == WRONG_USAGE:
            raise error  # nothing was sent, so there is nothing to summarise
        try:
            with open_run(self._path) as recorded:
                whole = recorded.summary()
        except JournalError as gone:
            self._reporter.summarise_session(None)
            raise error or self._as_ended(gone) from gone
        self._reporter.summarise_session(whole)
        if error is not None:
            raise error
        return ending.exit_status(
            whole,
            failed=self._tally.failed,
            is_stopped=self._is_stopped_on_request and not whole.complete,
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
            now = run.statistics()
            add = partial(self._file.add, outcome, is_stopped=now.stopped, more=now.buffered > 0)
            await self._try_to_write(add, run, interrupt)
        elif self._stream is not None:
            write = partial(self._stream.write, as_line(outcome, line))
            await self._try_to_write(write, run, interrupt)

    async def _try_to_write(
        self, write: Callable[[], Awaitable[object]], run: MapRun, interrupt: Interrupt
    ) -> None:
        """Write, unless writing has failed before; after the first failure, drain the run.

        Abandoned calls in flight would be in doubt, while finished ones can still be recorded.
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
        self._is_stopped_on_request = True
        run.stop()
        if now:
            self._display.note("abandoning calls in flight, as requested")
            interrupt.leave()
        else:
            in_flight = self._invoker.statistics().in_flight
            self._display.note(f"waiting for {in_flight:,} in flight, as requested")

    async def _keep_total(self, run: MapRun) -> None:
        await self._reporter.find_total()
        if self._reporter.total is not None:
            run.note(TOTAL, self._reporter.total)
