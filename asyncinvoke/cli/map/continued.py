"""The output file of a recorded run: continued where the journal says, with each line in it once."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from asyncinvoke import Outcome
from asyncinvoke._report.standing import is_recorded
from asyncinvoke.cli.errors import FAILED, CommandError
from asyncinvoke.cli.map.outcomes import as_line
from asyncinvoke.cli.map.source import LineNumbers
from asyncinvoke.cli.streams import Output
from asyncinvoke.runs import RecordedRun

NOTE = "output"
"""The name of the note that says how far an output is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far an output is written, as the journal has it.

    Written is what has ended up to `ends`, counted over the run, and of what has ended since
    everything before `following`, which is how an output in the order of the input grows.
    """

    path: str
    """The file, absolute."""

    offset: int = 0
    """Its bytes; what stands behind them was written after the journal's last commit."""

    ends: int = 0
    """All ends up to this one are in it."""

    following: int = 0
    """And so are all later ones of items before this one."""

    unnamed: int = -1
    """The last item in it of those that the journal does not have: a key that comes twice."""

    is_known: bool = False
    """Whether the journal knows of it at all."""

    @classmethod
    def from_note(cls, note: object, path: str) -> "Place":
        """Return what the journal says of this file; nothing is written yet if it says nothing."""
        match note:
            case {
                "path": str(noted),
                "offset": int(offset),
                "ends": int(ends),
                "following": int(following),
                "unnamed": int(unnamed),
            } if noted == path:
                return cls(
                    path=path,
                    offset=offset,
                    ends=ends,
                    following=following,
                    unnamed=unnamed,
                    is_known=True,
                )
        return cls(path=path)

    def as_note(self, lines: LineNumbers) -> dict[str, object]:
        """Return what the journal is to say, the lines of items included."""
        kept = asdict(self)
        del kept["is_known"]
        return {**kept, "lines": lines.as_note()}


def is_stream(path: str) -> bool:
    """Return whether a path is a stream, which cannot be continued: a pipe, terminal or device."""
    file = Path(path)
    return file.exists() and not file.is_file() and not file.is_dir()


def check_output(path: str, place: Place, *, force: bool) -> None:
    """Check that a file can be continued or created, before anything is sent.

    Raises:
        CommandError: It is not what the journal says, not ours to replace, or cannot be written.
    """
    file = Path(path)
    is_there = file.exists()
    if file.is_dir():
        raise CommandError(f"cannot write {path}: it is a folder")
    if not file.absolute().parent.is_dir():
        raise CommandError(f"cannot write {path}: its folder does not exist")
    if not os.access(path if is_there else file.absolute().parent, os.W_OK):
        raise CommandError(f"cannot write {path}: permission denied")
    if not is_there:
        return  # start a new file: the journal has all outcomes
    size = file.stat().st_size
    if place.offset and size < place.offset:
        raise CommandError(
            f"output {path} has {size:,} bytes, but had {place.offset:,} when last written: "
            "restore it, or remove it to have it rewritten"
        )
    if not _ends_a_line(file, place.offset):
        raise CommandError(
            f"output {path} was changed by another program: no line ends at byte {place.offset:,}, "
            "where it was last written: restore it, or remove it to have it rewritten"
        )
    if not place.is_known and size and not force:
        raise CommandError(
            f"output {path} exists, and does not belong to this run: --force replaces it"
        )


def _ends_a_line(file: Path, offset: int) -> bool:
    """Return whether a line ends at this byte, as far as the file can be read.

    It does not if another program has truncated the file and written on, nor if a power failure has
    left zeros: the journal is synced to the disk, and the output is not.
    """
    with contextlib.suppress(OSError), file.open("rb") as opened:
        opened.seek(max(offset - 1, 0))
        return not offset or opened.read(1) == b"\n"
    return True


def open_output(path: str, place: Place) -> tuple[Output, Place]:
    """Open a file after the last line recorded in the journal; the rest is truncated.

    Returns:
        The output, whose descriptor is the caller's to close, and the place that it is at.

    Raises:
        CommandError: It cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        if (
            os.fstat(descriptor).st_size < place.offset
        ):  # removed in the meantime: rewrite everything
            place = Place(path=place.path)
        os.ftruncate(descriptor, place.offset)
        os.lseek(descriptor, place.offset, os.SEEK_SET)
    except OSError as error:
        # Status 2 would say that nothing was sent.
        raise CommandError(f"cannot write {path}: {error.strerror}", status=FAILED) from error
    return Output(descriptor, path, is_ours=True), place


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
        self._before = before
        # What earlier sessions have recorded, and did not write.
        self._behind: Iterator[Outcome] = (
            outcome
            for outcome in run.outcomes(ended=(place.ends, before))
            if outcome.index >= place.following
        )
        self._next_behind: Outcome | None = None

    async def catch_up(self) -> None:
        """Write what earlier sessions have recorded and did not write, unless its turn is later."""
        if not self._ordered:
            await self._write_behind(None)
            self._ends, self._following = self._before, 0
        self._say()

    async def add(self, outcome: Outcome, *, is_stopped: bool) -> bool:
        """Write an outcome; return whether it was.

        Args:
            outcome: The outcome.
            is_stopped: Whether items before it may have been left. In the order of the input it is
                not its turn then: the session that runs those writes it.
        """
        if not is_recorded(outcome, keyed=self._keyed):
            if outcome.index <= self._unnamed:
                return False  # an earlier session has written the same
            self._unnamed = outcome.index
            await self._write(outcome)
        elif not self._ordered:
            await self._write(outcome)
            self._ends += 1
        elif is_stopped:
            return False
        else:
            await self._write_behind(outcome.index)
            await self._write(outcome)
            self._following = max(self._following, outcome.index + 1)
        self._say()
        return True

    async def finish(self) -> None:
        """Write what follows the last outcome; once the run is complete."""
        if self._ordered:
            await self._write_behind(None)
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
                self._following = outcome.index + 1

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
            ).as_note(self._lines),
        )
