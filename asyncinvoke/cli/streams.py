"""Reads and writes file descriptors without blocking the event loop.

Both can be cancelled, which a thread that waits for a terminal or a pipe could not.
"""

import contextlib
import errno
import os
import select
import signal
import stat

import anyio
from anyio import to_thread

from asyncinvoke._inputs.files import is_ready
from asyncinvoke.cli.errors import FAILED, CommandError

CHUNK = 262_144
"""Most bytes that are read at once."""

STDIN, STDOUT, STDERR = 0, 1, 2


async def read(descriptor: int) -> bytes:
    """Read what is there, or wait for it; nothing at the end."""
    if await is_ready(anyio.wait_readable, descriptor):
        return os.read(descriptor, CHUNK)
    return await to_thread.run_sync(os.read, descriptor, CHUNK)


class Output:
    """Writes to a descriptor. What a cancelled `write` left over comes first in the next.

    Args:
        descriptor: Where to write.
        name: What it is called.
        is_ours: Whether nobody else writes there.

    Attributes:
        descriptor: Where it writes.
        lines: Whole lines that were written.
    """

    def __init__(self, descriptor: int, name: str, *, is_ours: bool = False) -> None:
        self.descriptor = descriptor
        self._name = name
        self._is_ours = is_ours
        self._is_terminal = os.isatty(descriptor)  # of one that is closed, the system denies it
        self._pending = bytearray()
        self._half = 0
        self.lines: int = 0

    async def write(self, data: bytes) -> None:
        """Write all of it.

        What goes to a terminal that is closed is dropped, for the run is about to be drained: the
        system sends SIGHUP, or sent it to others only, so that we send it to ourselves.

        Raises:
            BrokenPipeError: The reader went away.
            CommandError: It cannot be written, as to a full disk, or to a closed terminal where
                SIGHUP is ignored. In a file of our own no half line is left at the end.
        """
        self._pending += data
        try:
            while self._pending:
                piece = len(self._pending)
                if await is_ready(anyio.wait_writable, self.descriptor):
                    # A pipe that is ready takes this much; more might block.
                    piece = select.PIPE_BUF
                self._took(os.write(self.descriptor, self._pending[:piece]))
        except BrokenPipeError:
            raise
        except OSError as error:
            self._pending.clear()
            is_hangup = self._is_terminal and error.errno == errno.EIO
            if is_hangup and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
                os.kill(os.getpid(), signal.SIGHUP)
                return
            self._cut_half_a_line()
            raise CommandError(
                f"cannot write {self._name}: {error.strerror}", status=FAILED
            ) from error

    def _took(self, written: int) -> None:
        whole = self._pending.rfind(b"\n", 0, written) + 1
        self._half = written - whole if whole else self._half + written
        self.lines += self._pending.count(b"\n", 0, written)
        del self._pending[:written]

    def _cut_half_a_line(self) -> None:
        if self._is_ours and stat.S_ISREG(os.fstat(self.descriptor).st_mode):
            with contextlib.suppress(OSError):
                end = os.lseek(self.descriptor, 0, os.SEEK_CUR)
                os.ftruncate(self.descriptor, end - self._half)


def standard_output() -> Output:
    """Return standard output."""
    return Output(STDOUT, "standard output")
