"""The command line as users run it: real processes."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import anyio
from anyio.abc import ByteReceiveStream, Process

COMMAND = [sys.executable, "-m", "asyncinvoke"]


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


Run = Callable[..., Awaitable[Ended]]


@contextlib.asynccontextmanager
async def started(
    *arguments: str, stdout: int = PIPE, stderr: int = PIPE, cwd: Path | None = None
) -> AsyncIterator[Process]:
    """A command under way; killed if the block leaves it running."""
    process = await anyio.open_process(
        [*COMMAND, *arguments],
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "80"},
    )
    async with process:
        try:
            with anyio.fail_after(30):
                yield process
        finally:
            if process.returncode is None:
                process.kill()


class Lines:
    """Reads a process's output line by line."""

    def __init__(self, stream: ByteReceiveStream | None) -> None:
        assert stream is not None
        self._stream = stream
        self._rest = b""

    async def next(self) -> str:
        while b"\n" not in self._rest:
            self._rest += await self._stream.receive()
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode()

    async def all(self) -> str:
        with contextlib.suppress(anyio.EndOfStream):
            while True:
                self._rest += await self._stream.receive()
        return self._rest.decode()
