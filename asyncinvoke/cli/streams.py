"""Reads and writes file descriptors without blocking the event loop.

Both can be cancelled, unlike a thread that waits for a terminal or a pipe.
"""

import contextlib
import errno
import os
import select
import signal
import stat
from typing import Self

import anyio
from anyio import to_thread

from asyncinvoke._inputs.files import is_ready
from asyncinvoke.cli.errors import FAILED, CommandError

CHUNK = 262_144
"""Most bytes that are read at once."""

STDIN, STDOUT, STDERR = 0, 1, 2


async def read(descriptor: int) -> bytes:
    """Read available bytes, waiting for the first; return none at the end."""
    if await is_ready(anyio.wait_readable, descriptor):
        return os.read(descriptor, CHUNK)
    return await to_thread.run_sync(os.read, descriptor, CHUNK)


class Output:
    """Writes to a descriptor. The next `write` begins with the rest of a cancelled one.

    Args:
        descriptor: The descriptor.
        name: The name of the output, for messages.
        is_ours: Whether no other process writes to it.

    Attributes:
        descriptor: The descriptor.
        lines: The number of whole lines written.
        unwritten: What a failed `write` has not written.
    """

    def __init__(self, descriptor: int, name: str, *, is_ours: bool = False) -> None:
        self.descriptor = descriptor
        self._name = name
        self._is_ours = is_ours
        self._is_terminal = os.isatty(descriptor)  # it fails for a closed terminal
        self._pending = bytearray()
        self._half = 0
        self.lines: int = 0
        self.unwritten: bytes = b""

    async def write(self, data: bytes) -> None:
        """Write all data.

        Data for a closed terminal is dropped, because the run is about to be drained: the system
        sends SIGHUP, and if it has sent it only to other processes, this one sends it to itself.

        Raises:
            BrokenPipeError: The reader is gone.
            CommandError: It cannot be written: the disk is full, or the terminal is closed while
                SIGHUP is ignored. A file that only this process writes ends with a whole line.
        """
        self._pending += data
        try:
            while self._pending:
                piece = len(self._pending)
                if await is_ready(anyio.wait_writable, self.descriptor):
                    # A writable pipe accepts this much without blocking.
                    piece = select.PIPE_BUF
                self._took(os.write(self.descriptor, self._pending[:piece]))
        except OSError as error:
            self.unwritten = bytes(self._pending)
            if isinstance(error, BrokenPipeError):
                raise
            self._pending.clear()
            is_hangup = self._is_terminal and error.errno == errno.EIO
            if is_hangup and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
                os.kill(os.getpid(), signal.SIGHUP)
                return
            self._cut_half_a_line()
            raise self._cannot_write(error) from error

    def size(self) -> int:
        """Return the size of a file; raise a `CommandError` if the system does not tell it."""
        try:
            return os.fstat(self.descriptor).st_size
        except OSError as error:
            raise self._cannot_write(error) from error

    def position(self) -> int:
        """Return where in a file the next write goes; raise a `CommandError` as `size` does."""
        try:
            return os.lseek(self.descriptor, 0, os.SEEK_CUR)
        except OSError as error:
            raise self._cannot_write(error) from error

    def __enter__(self) -> Self:
        """Return itself; the end of the block closes the descriptor."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the descriptor.

        Raises:
            CommandError: What was written did not reach the disk, as a network file system may report
                only now. What the block raises comes first: it is the cause, or worse.
        """
        try:
            os.close(self.descriptor)
        except OSError as error:
            if kind is None:
                raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> CommandError:
        return CommandError(f"cannot write {self._name}: {error.strerror}", status=FAILED)

    def _took(self, written: int) -> None:
        whole = self._pending.rfind(b"\n", 0, written) + 1
        self._half = written - whole if whole else self._half + written
        self.lines += self._pending.count(b"\n", 0, written)
        del self._pending[:written]

    def _cut_half_a_line(self) -> None:
        with contextlib.suppress(OSError):
            if self._is_ours and stat.S_ISREG(os.fstat(self.descriptor).st_mode):
                end = os.lseek(self.descriptor, 0, os.SEEK_CUR)
                os.ftruncate(self.descriptor, end - self._half)


def standard_output() -> Output:
    """Return standard output."""
    return Output(STDOUT, "standard output")
