"""Standard input, output and error, which may be closed, non-blocking or without a reader."""

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
    """Standard output, named in its errors."""

    _is_told = False

    def write(self, data: Any, /) -> int:
        if self._is_told:  # the rest would be flushed again when the interpreter exits
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
    """Standard error, on which writing never fails.

    It only has messages: if its reader is gone or the disk of its log is full, the run goes on, and
    the exit status is the same.
    """

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare_standard_streams() -> None:
    """Replace closed standard streams, so that no socket gets their descriptors.

    Raises:
        CommandError: Standard output is closed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            if descriptor == _STDOUT:
                raise CommandError("standard output is closed") from None
            # Opened for writing, so that reading fails: an empty input would hide that it is closed.
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
    # A message must not fail because of the encoding of an old locale.
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors="replace", line_buffering=raw.isatty()
    )
