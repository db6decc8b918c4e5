"""Cleanup of processes and directories: while the endpoint is running, and after it was killed."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from pkgutil import get_data

import anyio
from anyio import to_thread

from asyncinvoke.local.execution import remains


class Guardian:
    """Tells a guardian process what to clean up if the endpoint is killed; starts it when needed.

    Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._dead: set[str] = set()
        self._sweeping = anyio.Lock()

    @contextmanager
    def processes(self, mark: str) -> Iterator[None]:
        """Guard the processes of a log stream during the block."""
        self._tell(f"+p{mark}")
        try:
            yield
        finally:
            self._tell(f"-p{mark}")

    @contextmanager
    def directory(self, path: Path) -> Iterator[None]:
        """Guard a directory during the block."""
        self._tell(f"+d{path}")
        try:
            yield
        finally:
            self._tell(f"-d{path}")

    async def sweep(self, mark: str) -> None:
        """Kill the processes that a handler has started and left behind, in any session.

        Environments that end together are swept together, because a sweep inspects all processes.
        """
        self._dead.add(mark)
        async with self._sweeping:
            if mark in self._dead:
                marks = frozenset(self._dead)
                self._dead.clear()
                await to_thread.run_sync(remains.kill_marked, marks)

    async def close(self) -> None:
        """End the guardian process."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                # Closing is not enough: a fork of this process may hold the pipe open.
                process.stdin.write(remains.END + b"\n")
            with contextlib.suppress(OSError):
                process.stdin.close()
            await to_thread.run_sync(process.wait)

    def _tell(self, line: str) -> None:
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter, and our own file
                [sys.executable, "-I", "-S", *program("remains"), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
        assert self._process.stdin is not None  # noqa: S101  # opened as a pipe
        # It may have been killed; then only the cleanup is lost.
        with contextlib.suppress(OSError):
            self._process.stdin.write(os.fsencode(line) + b"\n")


def program(name: str) -> list[str]:
    """Return the arguments with which Python runs a file of this folder, which may be in a zip file."""
    file = Path(__file__).with_stem(name)
    if file.exists():
        return [str(file)]
    return ["-c", (get_data(__package__, file.name) or b"").decode()]


@asynccontextmanager
async def own_folder(guardian: Guardian) -> AsyncIterator[Path]:
    """Return a new temporary directory, which is removed at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="asyncinvoke-"))
    with guardian.directory(folder):
        try:
            yield folder
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
