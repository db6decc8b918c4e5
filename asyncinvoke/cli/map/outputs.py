"""Outputs that are written once: as outcomes come, or whole when a run has ended."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import click

from asyncinvoke._outputs import files, parquet
from asyncinvoke._outputs.files import Kind, OutputError, kind_of
from asyncinvoke.cli import streams
from asyncinvoke.cli.errors import FAILED, CommandError
from asyncinvoke.cli.map.ending import left_out
from asyncinvoke.cli.map.outcomes import as_line
from asyncinvoke.cli.map.settings import COMMAND, Bulk
from asyncinvoke.runs import open_run


def check_new_output(output: str | None, *, force: bool) -> None:
    """Check that an output is new, before anything is sent.

    Raises:
        CommandError: It is there, and not to be replaced.
    """
    if output is None or output == "-":
        return
    try:
        if Path(output).is_file() and not force:
            raise CommandError(f"output {output} exists: --force replaces it")
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror}") from error


@contextlib.contextmanager
def opened_output(output: str | None) -> Iterator[streams.Output]:
    """Open an output for as long as the block lasts; what is there is replaced.

    Raises:
        CommandError: It cannot be opened.
    """
    if output is None or output == "-":
        yield streams.standard_output()
        return
    try:
        file = Path(output).open("wb", buffering=0)  # noqa: SIM115  # closed below
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror}") from error
    with file:
        yield streams.Output(file.fileno(), output, is_ours=True)


LINES = ".lines"
"""What is behind the name of an output while the outcomes of a run without a journal are gathered."""

_PIECE = 1 << 18


def run_with_output(bulk: Bulk, work: Callable[[Bulk], int]) -> int:
    """Do the work of a run; if its output is one that is written as a whole, write it after that.

    With a journal it is written once the run is complete. Without one there is nothing to continue,
    so that it has what has ended, as an output of lines would, however the run ended.

    Args:
        bulk: The run, as it was asked for.
        work: Does it, and gives the exit status.

    Raises:
        CommandError: The output cannot be written.
    """
    target = bulk.whole_output or bulk.output
    kind = Kind() if target in (None, "-") else kind_of(str(target))
    if target is None or not kind.is_whole:
        return work(bulk)
    if _is_same_file(target, bulk.source):
        raise CommandError(f"output {target} is the input")
    if bulk.journal is None:
        check_whole(target, kind, force=bulk.force)
        return _gathered(bulk, target, kind, work)
    known = _is_of_run(bulk.journal, target)
    check_whole(target, kind, force=bulk.force or known)
    status = work(replace(bulk, output=None, whole_output=absolute(target)))
    with open_run(bulk.journal) as run:
        summary = run.summary()
        if not summary.complete:
            click.echo(f"{target} is written once the run is complete", err=True)
            return status
        again = f"asyncinvoke runs export {bulk.journal} {target} tries it again"
        _write(map(as_line, run.outcomes()), target, kind, if_not=again)
        for line in left_out(summary, target):
            click.echo(line, err=True)
    return status


def _gathered(bulk: Bulk, target: str, kind: Kind, work: Callable[[Bulk], int]) -> int:
    """Do the work of a run without a journal: its lines go to a file beside the output first.

    That file is left where the output cannot be written, or the process is killed: what functions
    have returned is nowhere else.
    """
    lines = Path(f"{target}{LINES}")
    if kind.is_remote:
        # In a folder that nobody else reads.
        lines = Path(tempfile.mkdtemp(prefix="asyncinvoke-")) / f"outcomes{LINES}"
    if lines.exists():
        if not bulk.force:
            raise CommandError(
                f"{lines} has the outcomes of a run that was killed: move it away, or --force drops it"
            )
        lines.unlink()
    with contextlib.ExitStack() as stack:
        if kind.is_remote:
            stack.callback(_remove_if_empty, lines.parent)
        # Also where the work raises: so far as it came, there are outcomes.
        stack.callback(_write_gathered, lines, target, kind)
        return work(replace(bulk, output=str(lines)))


def _write_gathered(lines: Path, target: str, kind: Kind) -> None:
    if not lines.is_file():
        return  # nothing was sent
    with lines.open("rb") as file:
        _write(file, target, kind, if_not=f"the outcomes are in {lines}, a line for each")
    lines.unlink()


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _write(lines: Iterable[bytes], target: str, kind: Kind, *, if_not: str) -> None:
    try:
        count = write_lines(lines, target, kind)
    except OutputError as error:
        raise CommandError(f"{error}: {if_not}", status=FAILED) from error
    click.echo(f"{target}: {count:,} outcomes", err=True)


def _is_same_file(target: str, source: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return os.path.samefile(target, source)
    return False


def check_whole(target: str, kind: Kind, *, force: bool) -> None:
    """Check an output as far as it goes before the work for it begins.

    Raises:
        CommandError: It is there and not to be replaced, or cannot be written.
        ConfigurationError: What writes it is not installed.
    """
    if not kind.is_remote and Path(target).exists() and not force:
        raise CommandError(f"output {target} exists: --force replaces it")
    if kind.format == "parquet":
        parquet.library()
    try:
        files.check(target, {}, kind.compression)
    except OutputError as error:
        raise CommandError(str(error)) from error


def absolute(target: str) -> str:
    """Return what an output is known by from any folder."""
    return target if "://" in target else str(Path(target).absolute())


def write_lines(lines: Iterable[bytes], target: str, kind: Kind) -> int:
    """Write outcomes that are lines of JSON; return how many there are.

    Raises:
        ConfigurationError: What writes them is not installed.
        OutputError: They cannot be written; what was there before is still there.
    """
    with files.written(target, {}, kind.compression) as file:
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
    """Whether a journal says that an output is that of its run."""
    path = Path(journal)
    if not path.is_file() or not path.stat().st_size:
        return False
    with open_run(path) as run:
        command = run.summary().notes.get(COMMAND)
    return isinstance(command, dict) and command.get("whole_output") == absolute(target)
