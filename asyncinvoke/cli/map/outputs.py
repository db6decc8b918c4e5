"""Outputs: checked before anything is sent, opened, and a named pipe waited for."""

import contextlib
import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio

from asyncinvoke._inputs.files import name_of
from asyncinvoke.cli import streams
from asyncinvoke.cli.errors import WRONG_USAGE, CommandError, say
from asyncinvoke.runs import is_journal


def check_new_output(output: str | None, *, force: bool) -> None:
    """Check that an output is new and can be written, before anything is sent.

    Raises:
        CommandError: It exists and may not be replaced, or it cannot be written.
    """
    if output is None or output == "-":
        return
    path, named = Path(output), name_of(output)
    folder = path.absolute().parent
    try:
        if path.is_dir():
            raise CommandError(f"cannot write {named}: it is a folder")
        if path.is_file() and not force:
            raise CommandError(f"output {named} exists: --force replaces it")
        if not folder.is_dir():
            raise CommandError(f"cannot write {named}: its folder does not exist")
        if not os.access(path if path.exists() else folder, os.W_OK):
            raise CommandError(f"cannot write {named}: permission denied")
    except OSError as error:
        raise CommandError(f"cannot write {named}: {error.strerror}") from error


def check_not_the_input(output: str | None, source: str) -> None:
    """Check that an output is not the input.

    Raises:
        CommandError: It is.
    """
    if output is None or output == "-":
        return
    with contextlib.suppress(OSError, ValueError):
        status = os.fstat(streams.STDIN) if source == "-" else os.stat(source)
        if os.path.samestat(os.stat(output), status):
            raise CommandError(f"output {output} is the input")


def is_stream(path: str) -> bool:
    """Return whether a path is a stream, which cannot be continued: a pipe, terminal or device."""
    file = Path(path)
    return file.exists() and not file.is_file() and not file.is_dir()


_OF_A_JOURNAL = ("", "-wal", "-shm", "-marks", "-control", "-control.new")
"""The suffixes of the files that belong to a journal."""


def check_not_the_journal(output: str | None, journal: str | None) -> None:
    """Check that an output is not a file of this journal, even a missing one, nor of another.

    Raises:
        CommandError: It is; writing it would destroy a run.
    """
    if output is None:
        return
    if output == "-":
        _check_standard_output(journal)
        return
    path = Path(output.removeprefix("file://"))
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # reported when they are opened
        for file, said in _files_of(journal):
            is_there = file.exists() and path.exists()
            if path.resolve() == file.resolve() or (is_there and path.samefile(file)):
                raise CommandError(f"output {output} {said}")
        # --force would replace the journals of shards and of other processes.
        for name in (str(path), str(path.resolve())):
            for end in _OF_A_JOURNAL:
                other = name.removesuffix(end)
                if name.endswith(end) and is_journal(other):
                    said = "is a journal" if not end else f"is a file of the journal {other}"
                    raise CommandError(f"output {output} {said}")


def _check_standard_output(journal: str | None) -> None:
    """Check that standard output is not redirected to a file of the journal."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        status = os.fstat(streams.STDOUT)
        for file, said in _files_of(journal):
            if file.exists() and os.path.samestat(file.stat(), status):
                raise CommandError(f"standard output {said}")


def _files_of(journal: str | None) -> Iterator[tuple[Path, str]]:
    """Yield the files of a journal, each with the error for an output that is that file."""
    if journal is None:
        return
    # SQLite derives the names of the files from the real path, not from a link to it.
    for name in (journal, str(Path(journal).resolve())):
        for end in _OF_A_JOURNAL:
            said = "is the journal" if not end else f"is a file of the journal {journal}"
            yield Path(name + end), said


@contextlib.contextmanager
def opened_output(
    output: str | None, *, status: int = WRONG_USAGE, has_lines: bool = True
) -> Iterator[streams.Output]:
    """Open an output for the duration of the block; an existing file is replaced.

    Args:
        output: The name of the output; `None` or `-` for standard output.
        status: The exit status if it cannot be opened; 2 means that nothing was sent.
        has_lines: Whether a file is to end with a whole line, also if it cannot be written to its end.

    Raises:
        CommandError: It cannot be opened.
    """
    if output is None or output == "-":
        yield streams.standard_output()
        return
    try:
        descriptor = os.open(output, _REPLACED, 0o666)
    except OSError as error:
        raise CommandError(
            f"cannot write {name_of(output)}: {error.strerror}", status=status
        ) from error
    with streams.Output(descriptor, output, is_ours=has_lines) as opened:
        yield opened


_REPLACED = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)


@contextlib.asynccontextmanager
async def awaited_output(
    output: str | None, *, status: int = WRONG_USAGE, otherwise: str = "nothing was sent"
) -> AsyncIterator[streams.Output]:
    """Open an output as `opened_output` does; wait for the reader of a named pipe.

    Opening a pipe without a reader would block the event loop, and with it the handling of signals.

    Args:
        output: The name of the output; `None` or `-` for standard output.
        status: The exit status if it cannot be opened; 2 means that nothing was sent.
        otherwise: The end of the message if a signal interrupts the wait.

    Raises:
        CommandError: It cannot be opened.
    """
    with contextlib.ExitStack() as stack:
        try:
            reader = await _reader_of(output)
        except anyio.get_cancelled_exc_class():
            say(f"interrupted: nobody reads {output}, and {otherwise}")
            raise
        if reader is not None:
            stack.callback(os.close, reader)
        yield stack.enter_context(opened_output(output, status=status))


async def _reader_of(output: str | None) -> int | None:
    """Wait until a named pipe has a reader; return a descriptor that keeps it open."""
    while _is_named_pipe(output):
        try:
            return os.open(str(output), os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                break  # reported when it is opened
        await anyio.sleep(LOOKS)
    return None


def _is_named_pipe(output: str | None) -> bool:
    return output is not None and Path(output).is_fifo()


LOOKS = 0.05
"""The interval between two checks whether a named pipe has a reader, in seconds."""
