"""Runs the processes of a divided run: starts, signals and monitors them, and ends them all."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from functools import partial

import anyio
import click
from anyio.abc import ByteReceiveStream, Process

from asyncinvoke.cli.errors import STOPPED, WRONG_USAGE, CommandError
from asyncinvoke.cli.interpreter import command_of
from asyncinvoke.cli.map.progress import Counts, Display, show_progress
from asyncinvoke.cli.map.settings import Bulk
from asyncinvoke.cli.processes.dividing import LastMessages, message
from asyncinvoke.cli.processes.part import settings_of
from asyncinvoke.cli.running import Interrupt, beside
from asyncinvoke.cli.streams import Output

LAST_SECONDS = 10.0
"""How long processes may take to exit after a signal before they are killed, in seconds."""

GATHER = 0.01
"""How long lines are buffered before they are written, in seconds."""

_PART = "asyncinvoke.cli.processes.part"


class Children:
    """The processes of one run.

    Each has a session of its own, so that a Ctrl-C on the terminal reaches it only once, through
    this process. If this process is killed, they finish their calls in flight and exit.

    Args:
        parts: The settings of each process.
        display: Shows the progress.
        open_output: Opens the output when the first outcome arrives.
        shared: A regular file that all processes write to directly, each whole lines at a time.
    """

    def __init__(
        self,
        parts: list[Bulk],
        *,
        display: Display,
        open_output: Callable[[], Output],
        shared: int | None = None,
    ) -> None:
        self._shared = shared
        self._parts = parts
        self._display = display
        self._open_output = open_output
        self._output: Output | None = None
        self._processes: dict[int, Process] = {}
        self._writing = anyio.Lock()
        self._began = time.monotonic()
        self._complaints: set[str] = set()
        self._has_signalled = False
        self._grace = 0.0
        self.said: LastMessages = LastMessages()
        """The last messages of the processes."""
        self.statuses: dict[int, int] = {}
        """The exit statuses of the processes that have ended; negative after a signal."""
        self.failure: CommandError | None = None
        """Why the output cannot be written, if that has ended the run."""
        self.not_written: int = 0
        """The number of outcomes that were dropped because of that."""

    async def run(self, interrupt: Interrupt, *, grace: float) -> None:
        """Run the processes until they end.

        Args:
            interrupt: Handles signals, which are passed on to the processes.
            grace: How long calls in flight may take after the first signal, in seconds; 0 abandons
                them.
        """
        self._grace = grace
        show = partial(show_progress, self._display, self.counts)
        drain = self._pass_on
        try:
            async with self._started(), beside(show):
                with interrupt.block(drain=drain, grace=grace + LAST_SECONDS):
                    async with anyio.create_task_group() as group:
                        for number in self._processes:
                            group.start_soon(self._follow, number)
        except ExceptionGroup as errors:
            raise _first(errors) from None

    def counts(self) -> Counts:
        """Return the progress of all processes together."""
        return self.said.counts(time.monotonic() - self._began, processes=len(self._parts))

    @contextlib.asynccontextmanager
    async def _started(self) -> AsyncIterator[None]:
        try:
            for number, part in enumerate(self._parts, 1):
                self._processes[number] = await anyio.open_process(
                    command_of(_PART),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE if self._shared is None else self._shared,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
                await self._tell(self._processes[number], part)
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._end()

    async def _tell(self, process: Process, part: Bulk) -> None:
        assert process.stdin is not None  # noqa: S101  # it is a pipe
        with contextlib.suppress(anyio.BrokenResourceError):  # it has exited; see its status
            # The pipe stays open: the process exits when it is closed, as when this one dies.
            await process.stdin.send(json.dumps(settings_of(part)).encode() + b"\n")

    async def _follow(self, number: int) -> None:
        process = self._processes[number]
        assert process.stderr is not None  # noqa: S101  # it is a pipe
        async with anyio.create_task_group() as group:
            if process.stdout is not None:
                group.start_soon(self._write, process.stdout)
            group.start_soon(self._read_messages, number, process.stderr)
        self.statuses[number] = await process.wait()
        self.said.ended(number)
        if self.statuses[number] < 0 and not self._has_signalled:
            self._display.note(f"process {number} was killed by signal {-self.statuses[number]}")
        if self.statuses[number] == STOPPED and not self._has_signalled:
            # If one process exceeds the tolerance, the run does.
            self._stop_all()

    async def _write(self, stream: ByteReceiveStream) -> None:
        """Write the output of a process, in whole lines."""
        rest = b""
        async for chunk in stream:
            whole, newline, after = (rest + chunk).rpartition(b"\n")
            rest = after
            if newline:
                async with self._writing:
                    await self._write_lines(whole + newline)
            # Otherwise this process would wake up for each line, which costs as much as a call.
            await anyio.sleep(GATHER)

    async def _write_lines(self, lines: bytes) -> None:
        """Write lines; if that fails, stop all processes, and drop what they still write.

        Their last messages say what the run has left open.
        """
        before = 0 if self._output is None else self._output.lines
        if self.failure is None:
            try:
                if self._output is None:
                    self._output = self._open_output()
                await self._output.write(lines)
            except CommandError as error:
                self.failure = error
                self._stop_all()
        if self.failure is not None:
            after = 0 if self._output is None else self._output.lines
            self.not_written += lines.count(b"\n") - (after - before)

    async def _read_messages(self, number: int, stream: ByteReceiveStream) -> None:
        """Read the progress of a process; print its other messages once for all processes."""
        rest = b""
        async for chunk in stream:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                said = message(line)
                if said is None:
                    self._complain(line.decode(errors="replace"))
                elif "note" in said:
                    if not self._has_signalled:  # otherwise this process has printed the same
                        self._complain(str(said["note"]))
                else:
                    self.said.add(number, said)

    def _complain(self, line: str) -> None:
        if line not in self._complaints:
            self._complaints.add(line)
            self._display.note(line)

    def _pass_on(self) -> None:
        if self._grace:
            in_flight = self.counts().in_flight
            self._display.note(
                f"waiting up to {self._grace:g} s for {in_flight:,} in flight; "
                "Ctrl-C again abandons them"
            )
        if not self._has_signalled:  # on a second one, they would abandon their calls in flight
            self._stop_all()

    def _stop_all(self) -> None:
        # SIGTERM for any signal: on a SIGINT during its imports, Python prints a traceback.
        self._has_signalled = True
        for process in self._processes.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)

    async def _end(self) -> None:
        """Stop the processes that are still running, and close their pipes."""
        self._stop_all()
        with anyio.move_on_after(LAST_SECONDS):
            for process in self._processes.values():
                await process.wait()
        for number, process in self._processes.items():
            if process.returncode is None:
                process.kill()
            self.statuses.setdefault(number, await process.wait())
            await process.aclose()


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def report_failed_starts(statuses: dict[int, int]) -> None:
    """Print which processes could not start, if others could."""
    failed = [number for number, status in sorted(statuses.items()) if status == WRONG_USAGE]
    if failed and len(failed) < len(statuses):
        click.echo(f"process {', '.join(map(str, failed))} could not start", err=True)
