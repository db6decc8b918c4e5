"""Outputs that are written as outcomes arrive: opened, and a named pipe waited for."""

import contextlib
import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio

from asyncinvoke._inputs.files import name_of
from asyncinvoke.cli import streams
from asyncinvoke.cli.errors import WRONG_USAGE, CommandError, say


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
