"""Runs the command line as users do, in processes.

`COMMAND` is what users start. Most tests fork instead (`tests/doubles/forked.py`); tests of process
start, terminals and shells use `COMMAND`.
"""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from subprocess import PIPE

import anyio
from anyio.abc import Process

from tests.doubles.forked import FORKER, Ended, LineReader

__all__ = ["COMMAND", "Ended", "LineReader", "Run", "started"]

COMMAND = [sys.executable, "-m", "asyncinvoke"]

Run = Callable[..., Awaitable[Ended]]


@contextlib.asynccontextmanager
async def started(
    *arguments: str,
    stdin: int = PIPE,
    stdout: int = PIPE,
    stderr: int = PIPE,
    cwd: Path | None = None,
) -> AsyncIterator[Process]:
    """Start a command; it is killed if it still runs at the end of the block."""
    async with await FORKER.start(
        *("-m", "asyncinvoke", *arguments),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "80"},
    ) as process:
        try:
            with anyio.fail_after(60):
                yield process
        finally:
            process.kill()
