"""Checks of an output before anything is sent: new, writable, and not the input."""

import contextlib
import os
from pathlib import Path

from asyncinvoke._inputs.files import name_of
from asyncinvoke.cli import streams
from asyncinvoke.cli.errors import CommandError


def check_new_output(output: str | None, *, force: bool) -> None:
    """Check that an output is new and can be written, before anything is sent.

    Raises:
        CommandError: It is there and not to be replaced, or cannot be written.
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
            raise CommandError(f"cannot write {named}: its folder is not there")
        if not os.access(path if path.exists() else folder, os.W_OK):
            raise CommandError(f"cannot write {named}: it is not allowed")
    except OSError as error:
        raise CommandError(f"cannot write {named}: {error.strerror}") from error


def check_not_the_input(output: str | None, source: str) -> None:
    """Check that an output is not what is read.

    Raises:
        CommandError: It is.
    """
    if output is None or output == "-":
        return
    with contextlib.suppress(OSError, ValueError):
        status = os.fstat(streams.STDIN) if source == "-" else os.stat(source)
        if os.path.samestat(os.stat(output), status):
            raise CommandError(f"output {output} is the input")


_OF_A_JOURNAL = ("", "-wal", "-shm", "-marks", "-control")
"""What is behind the name of a journal in the names of the files that belong to it."""


def check_not_the_journal(output: str | None, journal: str | None) -> None:
    """Check that an output is no file of a journal, be it there yet or not.

    Raises:
        CommandError: It is; writing it would destroy the run.
    """
    if output is None or output == "-" or journal is None:
        return
    path = Path(output.removeprefix("file://"))
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # said when they are opened
        # SQLite names the files beside the real file, whatever link led to it; -control is ours.
        for name in (journal, str(Path(journal).resolve())):
            for end in _OF_A_JOURNAL:
                file = Path(name + end)
                is_there = file.exists() and path.exists()
                if path.resolve() == file.resolve() or (is_there and path.samefile(file)):
                    said = "is the journal" if not end else f"is a file of the journal {journal}"
                    raise CommandError(f"output {output} {said}")
