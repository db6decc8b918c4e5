"""Outputs that are written as a whole when a run has ended, such as Parquet or a remote file."""

import contextlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from asyncinvoke import JournalError
from asyncinvoke._inputs.files import name_of
from asyncinvoke._outputs import files, parquet
from asyncinvoke._outputs.files import Kind, OutputError, kind_of, local_name, real_name
from asyncinvoke.cli.errors import FAILED, CommandError, say
from asyncinvoke.cli.map.ending import incomplete_lines
from asyncinvoke.cli.map.outcomes import as_line
from asyncinvoke.cli.map.outputs import check_not_the_input, check_not_the_journal
from asyncinvoke.cli.map.progress import counted
from asyncinvoke.cli.map.settings import COMMAND, Bulk
from asyncinvoke.cli.terminated import raised_signals
from asyncinvoke.runs import is_begun, open_run

LINES = ".lines"
"""The suffix of the file in which the outcomes of a run without a journal are collected."""

_PIECE = 1 << 18


def run_with_output(bulk: Bulk, work: Callable[[Bulk], int]) -> int:
    """Execute a run, and then write its output, if that is written as a whole.

    With a journal, it is written once the run is complete. Without one, the run cannot be continued,
    so the outcomes are written however it ended, as to an output of lines.

    Args:
        bulk: The settings of the run.
        work: Executes the run, and returns the exit status.

    Raises:
        CommandError: The output cannot be written.
    """
    target = bulk.whole_output or bulk.output
    if target is not None and target != local_name(target):
        target = local_name(target)
        bulk = replace(bulk, output=target, whole_output=None)
    check_not_the_journal(target, bulk.journal)
    kind = Kind() if target in (None, "-") else kind_of(str(target))
    if target is None or not kind.is_whole:
        return work(bulk)
    check_not_the_input(target, bulk.source)
    if bulk.journal is None:
        check_whole(target, kind, force=bulk.force)
        return _gathered(bulk, target, kind, work)
    known = _is_of_run(bulk.journal, target)
    check_whole(target, kind, force=bulk.force or known)
    status = work(replace(bulk, output=None, whole_output=real_name(target)))
    again = f"asyncinvoke runs export {bulk.journal} {name_of(target)} retries it"
    try:
        _write_recorded(bulk.journal, target, kind, again)
    except JournalError as error:
        # Status 2 would mean that nothing was sent.
        raise CommandError(f"{error}: {again}", status=FAILED) from error
    return status


def _write_recorded(journal: str, target: str, kind: Kind, again: str) -> None:
    """Write the output of a recorded run, if the run is complete."""
    if not is_begun(journal):
        return  # nothing was sent, and the reason has been reported
    with open_run(journal) as run:
        summary = run.summary()
        if not summary.complete:
            say(f"{name_of(target)} will be written when the run is complete")
            return
        _write(map(as_line, run.outcomes()), target, kind, if_not=again)
        for line in incomplete_lines(summary, name_of(target)):
            say(line)


def _gathered(bulk: Bulk, target: str, kind: Kind, work: Callable[[Bulk], int]) -> int:
    """Execute a run without a journal, collecting its lines in a file beside the output.

    The file is kept if the output cannot be written or the process is killed: it is the only copy of
    what the functions have returned.
    """
    lines = Path(f"{target}{LINES}")
    if kind.is_remote:
        # in a private directory
        lines = Path(tempfile.mkdtemp(prefix="asyncinvoke-")) / f"outcomes{LINES}"
    check_not_the_input(str(lines), bulk.source)
    before = _state(lines)
    if before is not None and not lines.is_file():
        raise CommandError(f"cannot write {lines}: it is not a regular file")
    if before is not None and not bulk.force:
        raise CommandError(
            f"{lines} has the outcomes of a killed run: move it away, or use --force to discard it"
        )
    with contextlib.ExitStack() as stack:
        if kind.is_remote:
            stack.callback(_remove_if_empty, lines.parent)
        # Also if the run raises: the outcomes up to then exist.
        stack.callback(_write_gathered, lines, before, target, kind)
        return work(replace(bulk, output=str(lines)))


def _write_gathered(lines: Path, before: object, target: str, kind: Kind) -> None:
    if not lines.is_file() or _state(lines) == before:
        return  # nothing was sent: the file is that of another run, and may be the only copy
    with lines.open("rb") as file:
        _write(file, target, kind, if_not=f"the outcomes are in {lines}, one per line")
    lines.unlink()


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _write(lines: Iterable[bytes], target: str, kind: Kind, *, if_not: str) -> None:
    try:
        count = write_lines(lines, target, kind)
    except OutputError as error:
        raise CommandError(f"{error}: {if_not}", status=FAILED) from error
    say(f"{name_of(target)}: {counted(count, 'outcome')}")


def _state(path: Path) -> tuple[int, ...] | None:
    """Return what identifies the content of a file; `None` if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def check_whole(target: str, kind: Kind, *, force: bool) -> None:
    """Check an output that is written as a whole, as far as possible before the run.

    Raises:
        CommandError: It exists and may not be replaced, or it cannot be written.
        ConfigurationError: The library that writes its format is not installed.
    """
    if not kind.is_remote and Path(target).exists() and not force:
        raise CommandError(f"output {target} exists: --force replaces it")
    if kind.format == "parquet":
        parquet.library()
    try:
        files.check(target, {}, kind.compression)
    except OutputError as error:
        raise CommandError(str(error)) from error


def write_lines(lines: Iterable[bytes], target: str, kind: Kind) -> int:
    """Write outcomes, given as lines of JSON; return their number.

    Raises:
        ConfigurationError: The library that writes the format is not installed.
        OutputError: They cannot be written. An existing file is unchanged.
    """
    with raised_signals(), files.written(target, {}, kind.compression) as file:
        if kind.format == "parquet":
            return parquet.write(lines, file)
        count = 0
        piece = bytearray()
        for line in lines:
            count += 1
            piece += line
            if len(piece) >= _PIECE:
                file.write(bytes(piece))
                piece.clear()
        file.write(bytes(piece))
        return count


def _is_of_run(journal: str, target: str) -> bool:
    """Return whether an output is that of the run, according to its journal."""
    if not is_begun(journal):
        return False
    with open_run(journal) as run:
        command = run.summary().notes.get(COMMAND)
    noted = command.get("whole_output") if isinstance(command, dict) else None
    return noted is not None and real_name(str(noted)) == real_name(
        target
    )  # either may contain links
