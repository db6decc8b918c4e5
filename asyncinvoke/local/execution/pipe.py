"""The end of a pipe that a worker process writes its output to."""

import asyncio
import os
import re
from typing import Self

from asyncinvoke.local.execution.logs import TAIL_LIMIT

_CHUNK = 65_536

# Without the service's telemetry pipe AWS's runtime separates the lines of an error by CR, so that
# a log agent takes them for one; the service's own log has LF.
_RUNTIME_ERROR = re.compile(rb"^\[ERROR\] .*\r.*$", re.MULTILINE)


def _with_newlines(match: re.Match[bytes]) -> bytes:
    return match[0].replace(b"\r", b"\n")


class OutputPipe:
    """A block that keeps the last bytes of what was written to `descriptor`.

    Reading is a callback of the loop and not a task, so that `take` can first read what a process
    wrote just before it answered.
    """

    def __init__(self) -> None:
        self._kept = bytearray()
        self.descriptor: int
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

    def close_writing(self) -> None:
        """Close this process's copy of the writing end, once a child has its own."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def mark(self, line: bytes) -> None:
        """Put a line of the platform's behind what was written so far."""
        self._read()
        self._keep(line)

    def take(self) -> bytes:
        """Return what was written since the last time, at most its last bytes."""
        self._read()
        taken = bytes(self._kept)
        self._kept.clear()
        return taken

    def _read(self) -> None:
        if self._reading < 0:
            return
        try:
            while chunk := os.read(self._reading, _CHUNK):
                self._keep(chunk)
        except BlockingIOError:
            return
        self._loop.remove_reader(self._reading)

    def _keep(self, data: bytes) -> None:
        self._kept += _RUNTIME_ERROR.sub(_with_newlines, data)
        del self._kept[:-TAIL_LIMIT]
