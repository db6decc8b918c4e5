"""The demo's bulk run: a process that is killed midway, and the same command again."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import anyio

from asyncinvoke import JournalError, Outcome
from asyncinvoke.cli.errors import FAILED, IN_DOUBT, CommandError, one_line
from asyncinvoke.cli.interpreter import command_of
from asyncinvoke.runs import RunSummary, open_run

JOURNAL, INPUT, OUTPUT, LEDGER = "demo.run", "modules.jsonl", "outcomes.jsonl", "ledger"

_CHILD = "asyncinvoke.cli.demo.child"

LOOK = 0.1
"""Seconds for which a summary of the run is reused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """The result of a run that was killed once."""

    outcomes: list[Outcome[Any]]
    """The outcomes from the journal, in input order."""

    after: int | None
    """How many items had finished at the kill; `None` if the run finished before it."""

    in_doubt: frozenset[int]
    """The positions of the items that may have run, according to the journal."""

    once: Counter[str]
    """How often each module had run when the second command ended."""

    whole: Counter[str]
    """How often each module had run after the redrive."""


class KilledRun:
    """A run of `asyncinvoke map` in a directory.

    Args:
        folder: The directory of its files.
        words: The arguments of `map`: the function, the input and options.
    """

    def __init__(self, folder: Path, words: tuple[str, ...]) -> None:
        self.folder = folder
        self._words = words
        self._seen: tuple[float, RunSummary | None] = (-LOOK, None)

    async def run(self, total: int, say: Callable[[str], None]) -> Killed:
        """Start the run, kill it halfway, continue it, and redrive the items that may have run.

        Args:
            total: The number of items.
            say: Prints a line about what has just happened.

        Raises:
            CommandError: A command failed.
        """
        command = ("map", *self._words, "--journal", JOURNAL, "--output", OUTPUT)
        after = await self._run(*command, kill_at=max(total // 2, 1))
        in_doubt: frozenset[int] = frozenset()
        if after is not None:
            with open_run(self.folder / JOURNAL) as recorded:
                in_doubt = frozenset(item.position for item in recorded.unknown())
            say(
                f"kill -9 after {after:,} had finished: the journal names {len(in_doubt):,} that "
                "may have run"
            )
            say("the same command again: it continues, and repeats none of them")
            await self._run(*command)
        once = self._ledger()
        if in_doubt:
            say(f"on request: asyncinvoke runs redrive {JOURNAL} --may-have-run")
            await self._run("runs", "redrive", JOURNAL, "--may-have-run", "--yes")
        with open_run(self.folder / JOURNAL) as recorded:
            outcomes = list(recorded.outcomes())
        return Killed(
            outcomes=outcomes, after=after, in_doubt=in_doubt, once=once, whole=self._ledger()
        )

    def summary(self) -> RunSummary | None:
        """Return the summary of the run; `None` before it has started."""
        at, summary = self._seen
        if time.monotonic() - at >= LOOK:
            try:
                with open_run(self.folder / JOURNAL) as recorded:
                    summary = recorded.summary()
            except (JournalError, LookupError):
                pass  # the journal is being created
            self._seen = (time.monotonic(), summary)
        return summary

    async def _run(self, *words: str, kill_at: int | None = None) -> int | None:
        """Run a command to its end, or kill it and return how many items had finished."""
        with tempfile.TemporaryFile() as said:
            process = await anyio.open_process(
                command_of(_CHILD, str(self.folder), *words, "--progress", "none"),
                cwd=self.folder,
                stdin=PIPE,  # its end shows that this process has ended
                stdout=DEVNULL,
                stderr=said,
            )
            async with process:
                try:
                    while kill_at is not None and process.returncode is None:
                        summary = self.summary()
                        if summary is not None and summary.ended >= kill_at:
                            process.kill()
                            await process.wait()
                            return None if process.returncode == 0 else summary.ended
                        await anyio.sleep(LOOK)
                    status = await process.wait()
                finally:
                    if process.returncode is None:
                        process.kill()
            if status not in (0, FAILED, IN_DOUBT):
                said.seek(0)
                why = one_line(said.read().decode(errors="replace"))
                raise CommandError(f"the demo's run failed: {why}", status=FAILED)
        return None

    def _ledger(self) -> Counter[str]:
        try:
            text = (self.folder / LEDGER).read_text("utf-8")
        except FileNotFoundError:
            text = ""
        return Counter(text.split())
