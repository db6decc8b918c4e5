"""How much of the output of a recorded run is written, according to its journal."""

import contextlib
import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from asyncinvoke._outputs.files import real_name
from asyncinvoke.cli.errors import FAILED, CommandError
from asyncinvoke.cli.map.outcomes import BEGINNING, outcomes_in
from asyncinvoke.cli.map.source import LineNumbers
from asyncinvoke.cli.streams import Output

NOTE = "output"
"""The name of the note that says how much of an output is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputState:
    """How much of an output is written, according to the journal.

    The output has the first `ends` ends of the run, and of the later ones those that its last `lost`
    lines show.
    """

    path: str
    """The file, absolute."""

    offset: int = 0
    """The size of the output in bytes; anything beyond was written after the last commit."""

    ends: int = 0
    """The number of ends, from the first of the run, that are in it."""

    following: int = 0
    """Later ends of items before this position are in it as well, according to an older version."""

    unnamed: int = -1
    """The last item in it that is not in the journal, because its key is missing or a duplicate; negative
    if there is none."""

    lost: int = 0
    """How many of the ends after `ends` may be in it, as its last lines.

    A redrive records an item that was in progress at a kill as lost, and then runs it: the first of
    these two ends has no line. And an ordered output has another order than the journal.
    """

    is_known: bool = False
    """Whether the journal has a note about this output."""

    @classmethod
    def from_note(cls, note: object, path: str) -> "OutputState":
        """Return what a note says about a file; without a note, that nothing is written yet.

        Args:
            note: The note.
            path: The path of the file, with links resolved. Older versions stored the path with
                links, and no `lost`.
        """
        match note:
            case {
                "path": str(noted),
                "offset": int(offset),
                "ends": int(ends),
                "following": int(following),
                "unnamed": int(unnamed),
                **later,
            } if real_name(noted) == path:
                lost = later.get("lost")
                return cls(
                    path=path,
                    offset=offset,
                    ends=ends,
                    following=following,
                    unnamed=unnamed,
                    lost=lost if isinstance(lost, int) else 0,
                    is_known=True,
                )
        return cls(path=path)

    def as_note(self, lines: LineNumbers) -> dict[str, object]:
        """Return the note to store, including the line numbers of items."""
        kept = asdict(self)
        del kept["is_known"]
        return {**kept, "lines": lines.as_note()}


def is_behind(note: object, output: str | None, *, ends: int) -> bool:
    """Return whether an output may lack outcomes of the journal, as after a full disk or a kill.

    Args:
        note: The note about the output.
        output: The output; `None` if there is none that is written line by line.
        ends: The number of ends in the journal.
    """
    if output is None:
        return False
    place = OutputState.from_note(note, real_name(output))
    if place.is_known and not place.offset:
        # Of what several processes wrote at once, once all had ended, the size is not noted.
        return not (os.path.exists(place.path) and os.path.getsize(place.path))
    return place.is_known and place.ends < ends


def check_output(path: str, place: OutputState, *, force: bool) -> OutputState:
    """Check that a file can be continued or created, before anything is sent.

    Returns:
        Where it is continued: at its beginning if it was removed, as the journal has all outcomes.

    Raises:
        CommandError: It differs from the note, may not be replaced, or cannot be written.
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
        return OutputState(path=place.path)
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
            f"output {path} exists, and does not belong to this run: map --force replaces it"
        )
    # A journal that somebody else has made may name any file as its output.
    if not force and not _begins_with_an_outcome(file):
        raise CommandError(
            f"output {path} does not begin with an outcome, so this run has not written it: move it "
            "away to have the output written"
        )
    return place


def _begins_with_an_outcome(file: Path) -> bool:
    """Return whether a file begins as the lines of outcomes do; `True` if it cannot be read.

    A kill may have left less of it, and a power failure zeros.
    """
    try:
        with file.open("rb") as opened:
            found = opened.read(len(BEGINNING))
    except OSError:
        return True
    return BEGINNING.startswith(found.rstrip(b"\0"))


def _ends_a_line(file: Path, offset: int) -> bool:
    """Return whether a line ends at an offset; `True` if the file cannot be read.

    No line ends there if another program has truncated the file and written to it, or if a power
    failure has left zeros: the journal is synced to disk, and the output is not.
    """
    with contextlib.suppress(OSError), file.open("rb") as opened:
        opened.seek(max(offset - 1, 0))
        return not offset or opened.read(1) == b"\n"
    return True


def open_output(path: str, place: OutputState) -> tuple[Output, OutputState]:
    """Open a file after the last line recorded in the journal; the rest is truncated.

    Returns:
        The output, whose descriptor the caller must close, and where it is continued.

    Raises:
        CommandError: It cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        if (
            os.fstat(descriptor).st_size < place.offset
        ):  # removed in the meantime: rewrite everything
            place = OutputState(path=place.path)
        os.ftruncate(descriptor, place.offset)
        os.lseek(descriptor, place.offset, os.SEEK_SET)
    except OSError as error:
        # Status 2 would say that nothing was sent.
        raise CommandError(f"cannot write {path}: {error.strerror}", status=FAILED) from error
    return Output(descriptor, path, is_ours=True), place


def last_written(place: OutputState, *, keyed: bool) -> frozenset[tuple[object, int]]:
    """Return the names and takes in the last `place.lost` lines; items without a name are left out.

    Raises:
        CommandError: One of them is not a line of an outcome.
    """
    found: list[tuple[object, int]] = []
    for fields in outcomes_in(place.path, place.offset):
        name, take = fields.get("key") if keyed else fields["index"], fields.get("take", 1)
        if name is None or take == 0:
            continue  # its key is missing or a duplicate, so it is not recorded
        found.append((name, take))
        if len(found) == place.lost:
            break
    return frozenset(found)


def unnamed_written(place: OutputState) -> Counter[str | None]:
    """Return how many lines of each key, or of none, are of items that are not in the journal.

    Such an item has only its position, which differs once the input of a run with keys has changed.

    Raises:
        CommandError: One of them is not a line of an outcome.
    """
    return Counter(
        fields.get("key")
        for fields in outcomes_in(place.path, place.offset, b'"error": "InvalidRequestError"')
        if fields.get("key") is None or fields.get("take") == 0
    )
