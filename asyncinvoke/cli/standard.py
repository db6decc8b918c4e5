"""Standard input, output and error, whatever those who started the command have made of them."""

import io
import os
import select
import sys
from typing import Any, TextIO, cast

from asyncinvoke.cli.errors import FAILED, CommandError

_STDOUT, _STDERR = 1, 2


class ReaderGoneError(Exception):
    """The reader closed standard output; click would handle a `BrokenPipeError` itself."""


class _Patient(io.FileIO):
    """Waits until writable: another program may have made a shared descriptor non-blocking."""

    def write(self, data: Any, /) -> int:
        while (written := cast("int | None", super().write(data))) is None:
            select.select([], [self], [])
        return written


class _Output(_Patient):
    """Standard output, whose errors say that it is standard output."""

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
    """Standard error, which nobody has to read.

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
    # Replacements made by a calling program are left alone.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Output(_STDOUT, "wb", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Error(_STDERR, "wb", closefd=False), sys.stderr)


def _text(raw: io.FileIO, before: TextIO | None) -> io.TextIOWrapper:
    if before is not None:
        before.flush()
    encoding = "utf-8" if before is None else before.encoding
    # An old locale must not make a command fail that only prints a message.
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors="replace", line_buffering=raw.isatty()
    )
