"""Standard input, output and error, whatever those who started the command have made of them."""

import io
import os
import select
import sys
from typing import Any, TextIO, cast

from asyncinvoke.cli.errors import FAILED, CommandError

_STDOUT, _STDERR = 1, 2


class ReaderGoneError(Exception):
    """The reader of standard output went away; click would take a `BrokenPipeError` for its own."""


class _Patient(io.FileIO):
    """Waits where others would not: another program may have made what we share with it non-blocking."""

    def write(self, data: Any, /) -> int:
        while (written := cast("int | None", super().write(data))) is None:
            select.select([], [self], [])
        return written


class _Output(_Patient):
    """Standard output, which says what it is where it cannot be written."""

    _is_told = False

    def write(self, data: Any, /) -> int:
        if self._is_told:  # what is left over is flushed again at the interpreter's end
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._is_told = True
            raise CommandError(
                f"cannot write standard output: {error.strerror}", status=FAILED
            ) from error


class _Error(_Patient):
    """Standard error, of which nobody has to take notice.

    What goes there is said in passing: that its reader went away, or that the disk of its log is full,
    must neither end a run in its middle nor decide how the command ends.
    """

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare_standard_streams() -> None:
    """Let no socket become a standard stream that is closed; without an output refuse.

    Raises:
        CommandError: Standard output is closed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            if descriptor == _STDOUT:
                raise CommandError("standard output is closed") from None
            # Reading what is closed fails, which an empty input would hide.
            os.open(os.devnull, os.O_WRONLY)
    # Those that a program around us has put in their places are its own affair.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Output(_STDOUT, "wb", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Error(_STDERR, "wb", closefd=False), sys.stderr)


def _text(raw: io.FileIO, before: TextIO | None) -> io.TextIOWrapper:
    if before is not None:
        before.flush()
    encoding = "utf-8" if before is None else before.encoding
    # An old locale must not end a command that has only a word to say.
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors="replace", line_buffering=raw.isatty()
    )
