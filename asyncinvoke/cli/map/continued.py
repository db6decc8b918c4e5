"""The output file of a recorded run: continued at the recorded offset, with each line in it once."""

import os
from collections import Counter
from collections.abc import Callable, Iterator

from asyncinvoke import Outcome
from asyncinvoke._report.standing import is_recorded
from asyncinvoke.cli.errors import FAILED, CommandError
from asyncinvoke.cli.map.outcomes import as_line
from asyncinvoke.cli.map.output_state import (
    NOTE,
    OutputState,
    last_written,
    unnamed_written,
)
from asyncinvoke.cli.map.source import LineNumbers
from asyncinvoke.cli.streams import Output
from asyncinvoke.runs import RecordedRun

CHECKED_EVERY = 1000
"""How many lines of an ordered output are written, at least, between two checks of which
ends they are. The next session reads back no more than these and those that were on their way."""

NOTED_EVERY = 64
"""After how many lines, at most, the note is stored. It has thousands of numbers if the items of an input
have empty lines or line ends between them, and takes longer than all else that is done for an outcome."""


class ContinuedWriter:
    """Writes outcomes to a file, and records in the journal how much of it is written.

    The note is stored with the next commit, so it may be behind the file, but is never ahead of it.
    The next session truncates the file to the recorded offset, and writes the rest again from the
    journal. Only the run writes to the file: it holds the lock of the journal.

    Args:
        output: The file.
        place: Where to continue it.
        run: The journal, opened for reading.
        before: The number of ends in the journal when this session began.
        lost: How many items a redrive may record as lost before it runs them; see `OutputState.lost`.
        ordered: Whether outcomes arrive, and are written, in input order.
        keyed: Whether items are identified by keys.
        lines: The line numbers of items.
        position: Returns the position of the last item that was read.
        note: Stores a note in the journal.
    """

    def __init__(
        self,
        output: Output,
        place: OutputState,
        *,
        run: RecordedRun,
        before: int,
        lost: int,
        ordered: bool,
        keyed: bool,
        lines: LineNumbers,
        position: Callable[[], int],
        note: Callable[[str, object], None],
    ) -> None:
        self._output = output
        self._place = place
        self._keyed = keyed
        self._ordered = ordered
        self._lines = lines
        self._position = position
        self._note = note
        self._ends = place.ends
        self._following = place.following
        self._unnamed = place.unnamed
        self._run = run
        self._before = before
        self._redriven = lost
        self._lost = place.lost
        # At the last check, `_checked_ends` items had ended, all of them up to `_checked_position`;
        # since then, `_since_check` lines were written.
        self._checked_ends = place.ends
        self._checked_position = -1
        self._since_check = place.lost
        self._since_note = 0
        written = last_written(place, keyed=keyed) if place.lost else frozenset()
        # The lines of earlier sessions that no item of this one has met yet.
        self._unnamed_before = (
            unnamed_written(place) if place.unnamed >= 0 else Counter[str | None]()
        )
        # Outcomes that earlier sessions recorded, but did not write.
        self._behind: Iterator[Outcome] = (
            outcome
            for outcome in run.outcomes(ended=(place.ends, before))
            if outcome.index >= place.following
            and (outcome.key if keyed else outcome.index, outcome.take) not in written
        )
        self._next_behind: Outcome | None = None
        # The keys of items that have run again since, while some of these outcomes are not written.
        self._again: set[str | None] = set()

    async def catch_up(self) -> None:
        """Write the outcomes that earlier sessions did not write, except those whose turn is later."""
        self._next_behind = next(self._behind, None)
        if not self._ordered:
            await self._write_behind(None)
        if self._next_behind is None:
            self._ends, self._following, self._lost = self._before, 0, self._redriven
            self._checked_ends, self._since_check = self._before, 0
        self._say()

    async def add(self, outcome: Outcome, *, is_stopped: bool, more: bool) -> bool:
        """Write an outcome; return whether it was written.

        Args:
            outcome: The outcome.
            is_stopped: Whether the run was stopped, so that earlier items may have no outcome. An
                ordered output then leaves this one to the session that runs those.
            more: Whether the next outcome is there already: one note then covers several.
        """
        is_written = await self._add(outcome, is_stopped=is_stopped)
        self._since_note += is_written
        # Also after an outcome that is not written: it may be the last one.
        if self._since_note >= (NOTED_EVERY if more else 1):
            self._say()
        return is_written

    async def _add(self, outcome: Outcome, *, is_stopped: bool) -> bool:
        is_named = is_recorded(outcome, keyed=self._keyed)
        if not is_named and self._unnamed_before[outcome.key] > 0:
            self._unnamed_before[outcome.key] -= 1
            return False  # an earlier session has written it
        if self._ordered:
            if is_stopped:
                return False
            # An earlier take of an item that runs again comes before this one.
            await self._write_behind(outcome.index + (outcome.take > 1))
            if outcome.take > 1 and self._next_behind is not None:
                self._again.add(outcome.key)
        await self._write(outcome)
        if not is_named:
            self._unnamed = outcome.index
        elif self._ordered:
            self._has_written(outcome)
        else:
            self._ends += 1
        return True

    async def finish(self) -> None:
        """Write the remaining recorded outcomes; called once the run is complete."""
        if self._ordered:
            await self._write_behind(None)
            self._ends, self._following, self._lost = self._run.ends(), 0, 0
            self._say()

    async def _write_behind(self, until: int | None) -> None:
        """Write the outcomes that earlier sessions recorded for items before this one."""
        while (outcome := self._next_behind) is not None:
            if until is not None and outcome.index >= until:
                return
            # If the order of the keys has changed, a later take of it may be in the output already.
            is_late = self._keyed and outcome.key in self._again
            if not is_late:
                await self._write(outcome)
            self._next_behind = next(self._behind, None)
            if self._ordered and not is_late:
                self._has_written(outcome)

    def _has_written(self, outcome: Outcome) -> None:
        """Count an outcome that was written to an ordered output."""
        # A journal has another order than the output, and an item may run again: the last lines of
        # the output show which of the journal's ends are written.
        self._lost += 1
        self._since_check += 1
        if self._since_check >= CHECKED_EVERY and outcome.index > self._checked_position:
            self._check_ends()

    def _check_ends(self) -> None:
        """Note that all ends of the last check are written, and check again.

        An outcome arrives once its end is recorded, and in the order of the input. So those that had
        ended at the last check were among the items read by then, and this one comes after these.
        What earlier sessions recorded is written only once nothing of it is left. A redrive may
        also have recorded items as lost that it has not read yet.
        """
        if self._next_behind is None and not self._redriven:
            self._ends, self._following = self._checked_ends, 0
            self._lost = self._since_check
        self._checked_ends, self._checked_position = self._run.ends(), self._position()
        self._since_check = 0

    def check_in_place(self) -> None:
        """Check, after the last write, that the file is still in its place.

        Raises:
            CommandError: It was removed or moved; there may be another file in its place.
        """
        try:
            is_there = os.path.samestat(
                os.stat(self._place.path), os.fstat(self._output.descriptor)
            )
        except OSError:
            is_there = False
        if not is_there:
            raise CommandError(
                f"output {self._place.path} was removed or moved while it was written: if no file of "
                "that name exists, the same command rewrites it",
                status=FAILED,
            )

    async def _write(self, outcome: Outcome) -> None:
        # Writing past the end of a truncated file leaves a hole of zeros.
        if self._output.size() < self._output.position():
            raise CommandError(
                f"output {self._place.path} was truncated by another program while it was written: "
                "remove it, and the same command rewrites it",
                status=FAILED,
            )
        await self._output.write(as_line(outcome, self._lines.get(outcome.index)))

    def _say(self) -> None:
        self._since_note = 0
        self._note(
            NOTE,
            OutputState(
                path=self._place.path,
                offset=self._output.position(),
                ends=self._ends,
                following=self._following,
                unnamed=self._unnamed,
                lost=self._lost,
            ).as_note(self._lines),
        )
