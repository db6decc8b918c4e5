"""The demo's bulk run: a process that is killed midway, and the same command again."""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio

from asyncinvoke import JournalError, Outcome
from asyncinvoke.cli.errors import FAILED, IN_DOUBT, CommandError, one_line
from asyncinvoke.runs import RunSummary, open_run

JOURNAL, INPUT, OUTPUT, LEDGER = "demo.run", "modules.jsonl", "outcomes.jsonl", "ledger"

LOOK = 0.1
"""Seconds between two looks at how far the run is; whoever looks sooner sees the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """What came of a run that was killed once."""

    outcomes: list[Outcome[Any]]
    """Its outcomes, as the journal has them, in the order of the input."""

    after: int | None
    """How many had ended when it was killed; `None` if it was over before that."""

    in_doubt: frozenset[int]
    """The items that may have run then, as the journal named them."""

    once: Counter[str]
    """How often each module was run, once the same command had continued."""

    whole: Counter[str]
    """How often in the end, when what was in doubt had been run again."""


class KilledRun:
    """A run of `asyncinvoke map` in a folder.

    Args:
        folder: Where its files lie.
        words: What follows the command's name: the function and its options.
    """

    def __init__(self, folder: Path, words: tuple[str, ...]) -> None:
        self.folder = folder
        self._words = words
        self._seen: tuple[float, RunSummary | None] = (-LOOK, None)

    async def run(self, total: int, tell: Callable[[str], None]) -> Killed:
        """Start it, kill it half-way, continue it, and have run again what may have run.

        Args:
            total: How many items there are.
            tell: Says what happens, as it happens.

        Raises:
            CommandError: It failed.
        """
        command = ("map", *self._words, "--journal", JOURNAL, "--output", OUTPUT)
        after = await self._run(*command, kill_at=max(total // 2, 1))
        in_doubt: frozenset[int] = frozenset()
        if after is not None:
            with open_run(self.folder / JOURNAL) as recorded:
                in_doubt = frozenset(item.position for item in recorded.unknown())
            tell(
                f"kill -9, when {after:,} had ended: {len(in_doubt):,} may have run, and are named"
            )
            tell("the same command again: it continues, and runs none of them twice")
            await self._run(*command)
        once = self._ledger()
        if in_doubt:
            tell(f"on demand: asyncinvoke runs redrive {JOURNAL} --may-have-run")
            await self._run("runs", "redrive", JOURNAL, "--may-have-run", "--yes")
        with open_run(self.folder / JOURNAL) as recorded:
            outcomes = list(recorded.outcomes())
        return Killed(
            outcomes=outcomes, after=after, in_doubt=in_doubt, once=once, whole=self._ledger()
        )

    def summary(self) -> RunSummary | None:
        """Return how far it is; `None` before it has begun."""
        at, summary = self._seen
        if time.monotonic() - at >= LOOK:
            try:
                with open_run(self.folder / JOURNAL) as recorded:
                    summary = recorded.summary()
            except (JournalError, LookupError):
                pass  # it is being made
            self._seen = (time.monotonic(), summary)
        return summary

    async def _run(self, *words: str, kill_at: int | None = None) -> int | None:
        """Run a command to its end; or kill it, and return how many items had ended by then."""
        with tempfile.TemporaryFile() as said:
            process = await anyio.open_process(
                [sys.executable, "-m", "asyncinvoke", *words, "--progress", "none"],
                cwd=self.folder,
                stdin=DEVNULL,
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
