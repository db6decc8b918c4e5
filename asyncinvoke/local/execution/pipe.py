"""The pipe that carries a worker process's output."""

import asyncio
import os
import re
from collections.abc import Callable
from typing import Self

from asyncinvoke.local.execution.logs import TAIL_LIMIT

CAPACITY = 65_536
"""Bytes that a pipe holds (on Linux, as it is made), and that are read before the loop turns to others."""

# Without the service's telemetry pipe AWS's runtime separates the lines of an error by CR, so that
# a log agent takes them for one; the service's own log has LF. A message of several lines has LFs
# of its own, before the first CR.
_RUNTIME_ERROR = re.compile(
    rb"^\[ERROR\] (?:[^\r\n]*\n){0,50}?[^\r\n]*\rTraceback \(most recent call last\):\r.*$",
    re.MULTILINE,
)


def _with_newlines(match: re.Match[bytes]) -> bytes:
    return match[0].replace(b"\r", b"\n")


LINE_LIMIT = 65_536
"""Bytes after which a line is told although it has not ended."""


class OutputPipe:
    """A block that keeps the last bytes of what was written to `descriptor`.

    Reading is a callback of the loop and not a task, so that `take` can first read what a process
    wrote just before it answered.

    Args:
        on_line: Called with each line as it comes.
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
        """Start to read."""
        self._loop.add_reader(self._reading, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        """Read the rest and close the pipe; what was kept can still be taken."""
        self.close_writing()
        self._read()
        self._loop.remove_reader(self._reading)
        os.close(self._reading)
        self._reading = -1
        self._tell(b"", ended=True)

    def close_writing(self) -> None:
        """Close this process's copy of the writing end, once a child has its own."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def mark(self, line: bytes) -> None:
        """Put a line of the platform's behind what was written so far."""
        self._read()
        self._tell(b"", ended=True)
        self._keep(line)

    def take(self) -> bytes:
        """Return what was written since the last time, at most its last bytes."""
        self._read()
        taken = bytes(self._kept)
        self._kept.clear()
        return taken

    def _read(self) -> None:
        """Read what is there, once: a process may write faster than it is heard, and for ever."""
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
        data = _RUNTIME_ERROR.sub(_with_newlines, data)
        self._kept += data
        del self._kept[:-TAIL_LIMIT]
        self._tell(data)

    def _tell(self, data: bytes, *, ended: bool = False) -> None:
        if self._on_line is None:
            return
        *lines, self._line = (self._line + data).split(b"\n")
        if (ended and self._line) or len(self._line) > LINE_LIMIT:
            lines.append(self._line)
            self._line = b""
        for line in lines:
            self._on_line(line.decode(errors="replace"))
