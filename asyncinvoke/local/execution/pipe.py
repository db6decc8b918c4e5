"""The pipe that carries a worker process's output."""

import asyncio
import os
import re
from collections.abc import Callable
from typing import Self

from asyncinvoke.local.execution.logs import TAIL_LIMIT

CAPACITY = 65_536
"""The capacity of a pipe on Linux, in bytes, and the maximum read at once."""

# Without the service's telemetry pipe, AWS's runtime separates the lines of an error by CR, so that a
# log agent treats them as one; in the service's own log they are separated by LF. The message, before
# the traceback, may contain LFs and CRs of its own; an error without frames ends with the first line.
_TRACEBACK = b"\rTraceback (most recent call last):"
_RUNTIME_ERROR = re.compile(
    rb"^(\[ERROR\] (?:.*\n){0,50}?.*?)\r(Traceback \(most recent call last\):(?:\r.*)?)$",
    re.MULTILINE,
)


def _with_newlines(match: re.Match[bytes]) -> bytes:
    return match[1] + b"\n" + match[2].replace(b"\r", b"\n")


LINE_LIMIT = 65_536
"""The size in bytes above which an incomplete line is reported."""


class OutputPipe:
    """A block that keeps the last bytes written to `descriptor`.

    The reader is a callback of the loop and not a task, so that `take` can first read what a process
    wrote just before its response.

    Args:
        on_line: Called with each line as it arrives.
    """

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        self._kept = bytearray()
        self.descriptor: int
        self._on_line = on_line
        self._line = b""
        self._reading, self.descriptor = os.pipe()
        os.set_blocking(self._reading, False)
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        """Start reading."""
        self._loop.add_reader(self._reading, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        """Read the rest and close the pipe; `take` still works."""
        self.close_writing()
        self._read()
        self._loop.remove_reader(self._reading)
        os.close(self._reading)
        self._reading = -1
        self._report_lines(b"", ended=True)

    def close_writing(self) -> None:
        """Close the write end in this process, once the child has inherited it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def mark(self, line: bytes) -> None:
        """Append a line of the platform to the output so far."""
        self._read()
        self._report_lines(b"", ended=True)
        self._keep(line)

    def take(self) -> bytes:
        """Return the last bytes written since the previous call."""
        self._read()
        taken = bytes(self._kept)
        self._kept.clear()
        return taken

    def _read(self) -> None:
        """Read available output once; looping could starve others if a process keeps writing."""
        if self._reading < 0:
            return
        try:
            data = os.read(self._reading, CAPACITY)
        except BlockingIOError:
            return
        if data:
            self._keep(data)
        else:
            self._loop.remove_reader(self._reading)

    def _keep(self, data: bytes) -> None:
        if _TRACEBACK in data:  # the pattern is slow on output of many lines
            data = _RUNTIME_ERROR.sub(_with_newlines, data)
        self._kept += data
        del self._kept[:-TAIL_LIMIT]
        self._report_lines(data)

    def _report_lines(self, data: bytes, *, ended: bool = False) -> None:
        if self._on_line is None:
            return
        *lines, self._line = (self._line + data).split(b"\n")
        if (ended and self._line) or len(self._line) > LINE_LIMIT:
            lines.append(self._line)
            self._line = b""
        for line in lines:
            self._on_line(line.decode(errors="replace"))
