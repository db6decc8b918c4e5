"""Reads and writes file descriptors without blocking the event loop.

Both can be cancelled, which a thread that waits for a terminal or a pipe could not.
"""

import os
import select
from collections.abc import Awaitable, Callable

import anyio
from anyio import to_thread

from asyncinvoke.cli.errors import FAILED, CommandError

CHUNK = 262_144
"""Most bytes that are read at once."""

STDIN, STDOUT = 0, 1


async def read(descriptor: int) -> bytes:
    """Read what is there, or wait for it; nothing at the end."""
    if await _is_ready(anyio.wait_readable, descriptor):
        return os.read(descriptor, CHUNK)
    return await to_thread.run_sync(os.read, descriptor, CHUNK)


class Output:
    """Writes to a descriptor. What a cancelled `write` left over comes first in the next."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        self._pending = bytearray()

    async def write(self, data: bytes) -> None:
        """Write all of it.

        Raises:
            BrokenPipeError: The reader went away.
            CommandError: It cannot be written, as to a full disk.
        """
        self._pending += data
        try:
            while self._pending:
                piece = len(self._pending)
                if await _is_ready(anyio.wait_writable, self._descriptor):
                    # A pipe that is ready takes this much; more might block.
                    piece = select.PIPE_BUF
                written = os.write(self._descriptor, self._pending[:piece])
                del self._pending[:written]
        except BrokenPipeError:
            raise
        except OSError as error:
            self._pending.clear()
            raise CommandError(
                f"cannot write {self._name}: {error.strerror}", status=FAILED
            ) from error


def standard_output() -> Output:
    """Return standard output."""
    return Output(STDOUT, "standard output")


async def _is_ready(wait: Callable[[int], Awaitable[None]], descriptor: int) -> bool:
    """Wait for a terminal, pipe or socket; a file or device that never makes wait is not one."""
    try:
        await wait(descriptor)
    except PermissionError:
        return False
    return True
