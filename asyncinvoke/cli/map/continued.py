"""The output file of a recorded run: continued where the journal says, with each line in it once."""

import os
from collections.abc import Callable, Iterator

from asyncinvoke import Outcome
from asyncinvoke._report.standing import is_recorded
from asyncinvoke.cli.errors import FAILED, CommandError
from asyncinvoke.cli.map.outcomes import as_line
from asyncinvoke.cli.map.place import NOTE, Place, last_written
from asyncinvoke.cli.map.source import LineNumbers
from asyncinvoke.cli.streams import Output
from asyncinvoke.runs import RecordedRun


class ContinuedWriter:
    """Writes outcomes to a file, and has the journal note how far it is.

    The note goes with the next commit, so it may be behind the file, and never ahead of it. Whoever
    continues cuts off what is behind the note, and writes that again from the journal. Only the run
    writes to the journal and the file, and it has the lock of the journal.

    Args:
        output: The file.
        place: Where it is continued.
        run: The journal, as it is read.
        before: How many ends the journal had when this session began.
        lost: How many items a redrive may record as lost before it runs them; see `Place.lost`.
        ordered: Whether outcomes come in the order of the input, and are written so.
        keyed: Whether items are known by keys.
        lines: The lines of items.
        note: Keeps a note.
    """

    def __init__(
        self,
        output: Output,
        place: Place,
        *,
        run: RecordedRun,
        before: int,
        lost: int,
        ordered: bool,
        keyed: bool,
        lines: LineNumbers,
        note: Callable[[str, object], None],
    ) -> None:
        self._output = output
        self._place = place
        self._keyed = keyed
        self._ordered = ordered
        self._lines = lines
        self._note = note
        self._ends = place.ends
        self._following = place.following
        self._unnamed = place.unnamed
        self._run = run
        self._before = before
        self._redriven = lost
        self._lost = place.lost
        written = last_written(place, keyed=keyed) if place.lost else frozenset()
        # What earlier sessions have recorded, and did not write.
        self._behind: Iterator[Outcome] = (
            outcome
            for outcome in run.outcomes(ended=(place.ends, before))
            if outcome.index >= place.following
            and (outcome.key if keyed else outcome.index, outcome.take) not in written
        )
        self._next_behind: Outcome | None = None

    async def catch_up(self) -> None:
        """Write what earlier sessions have recorded and did not write, unless its turn is later."""
        self._next_behind = next(self._behind, None)
        # A redrive was not in the order of the input.
        if not self._ordered or (self._place.lost and not self._keyed):
            await self._write_behind(None)
        if self._next_behind is None:
            self._ends, self._following, self._lost = self._before, 0, self._redriven
        self._say()

    async def add(self, outcome: Outcome, *, is_stopped: bool) -> bool:
        """Write an outcome; return whether it was.

        Args:
            outcome: The outcome.
            is_stopped: Whether items before it may have been left. In the order of the input it is
                not its turn then: the session that runs those writes it.
        """
        is_named = is_recorded(outcome, keyed=self._keyed)
        if not is_named and outcome.index <= self._unnamed:
            return False  # an earlier session has written the same
        if self._ordered:
            # What runs again though all around it is written, as a line that was repaired, has its turn.
            if is_stopped and outcome.index >= self._following:
                return False
            await self._write_behind(outcome.index)
        await self._write(outcome)
        if not is_named:
            self._unnamed = outcome.index
        elif self._ordered:
            self._has_written(outcome)
        else:
            self._ends += 1
        self._say()
        return True

    async def finish(self) -> None:
        """Write what follows the last outcome; once the run is complete."""
        if self._ordered:
            await self._write_behind(None)
            self._ends, self._following, self._lost = self._run.ends(), 0, 0
            self._say()

    async def _write_behind(self, until: int | None) -> None:
        """Write what earlier sessions have recorded of the items before this one."""
        while True:
            outcome = self._next_behind or next(self._behind, None)
            self._next_behind = outcome
            if outcome is None or (until is not None and outcome.index >= until):
                return
            await self._write(outcome)
            self._next_behind = None
            if self._ordered:
                self._has_written(outcome)

    def _has_written(self, outcome: Outcome) -> None:
        """Count an outcome that was written in the order of the input."""
        # A journal with keys does not know that order: which of its ends are in the output is told by
        # the last lines of that.
        if self._keyed:
            self._lost += 1
        else:
            self._following = max(self._following, outcome.index + 1)

    def check_in_place(self) -> None:
        """Check, once all is written, that the file is still where it was.

        Raises:
            CommandError: It was removed or moved meanwhile, and another may be in its place.
        """
        try:
            is_there = os.path.samestat(os.stat(self._place.path), os.fstat(self._descriptor))
        except OSError:
            is_there = False
        if not is_there:
            raise CommandError(
                f"output {self._place.path} was removed or moved while it was written: if no file of "
                "that name exists, the same command rewrites it",
                status=FAILED,
            )

    @property
    def _descriptor(self) -> int:
        return self._output.descriptor

    async def _write(self, outcome: Outcome) -> None:
        # Writing past the end of a truncated file leaves a hole of zeros.
        if os.fstat(self._descriptor).st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR):
            raise CommandError(
                f"output {self._place.path} was truncated by another program while it was written: "
                "remove it, and the same command rewrites it",
                status=FAILED,
            )
        await self._output.write(as_line(outcome, self._lines.get(outcome.index)))

    def _say(self) -> None:
        self._note(
            NOTE,
            Place(
                path=self._place.path,
                offset=os.lseek(self._descriptor, 0, os.SEEK_CUR),
                ends=self._ends,
                following=self._following,
                unnamed=self._unnamed,
                lost=self._lost,
            ).as_note(self._lines),
        )
