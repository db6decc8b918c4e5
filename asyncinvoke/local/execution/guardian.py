"""The endpoint's side of the cleanup process, cleanup while the endpoint lives, and folders."""

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

import anyio
from anyio import to_thread

from asyncinvoke.local.execution import remains


class Guardian:
    """Knows what would be left if the endpoint were killed. Its process starts when it is needed.

    Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._dead: set[str] = set()
        self._sweeping = anyio.Lock()

    @contextmanager
    def processes(self, mark: str) -> Iterator[None]:
        """Hold a block in which there may be processes of a log stream."""
        self._tell(f"+p{mark}")
        try:
            yield
        finally:
            self._tell(f"-p{mark}")

    @contextmanager
    def directory(self, path: Path) -> Iterator[None]:
        """Hold a block in which there is a directory."""
        self._tell(f"+d{path}")
        try:
            yield
        finally:
            self._tell(f"-d{path}")

    async def sweep(self, mark: str) -> None:
        """End what a handler has started and left behind, in whatever session.

        Environments that end together are swept together: it takes a look at every process there is.
        """
        self._dead.add(mark)
        async with self._sweeping:
            if mark in self._dead:
                marks = frozenset(self._dead)
                self._dead.clear()
                await to_thread.run_sync(remains.kill_marked, marks)

    async def close(self) -> None:
        """End its process."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
            await to_thread.run_sync(process.wait)

    def _tell(self, line: str) -> None:
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter, and a file of ours
                [sys.executable, "-I", "-S", remains.__file__, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
        assert self._process.stdin is not None  # noqa: S101  # it is a pipe
        # Somebody may have killed it; then nobody clears up, and nothing else is lost.
        with contextlib.suppress(OSError):
            self._process.stdin.write(os.fsencode(line) + b"\n")


@asynccontextmanager
async def own_folder(guardian: Guardian) -> AsyncIterator[Path]:
    """Hold a block in which there is a folder that nobody else has."""
    folder = Path(tempfile.mkdtemp(prefix="asyncinvoke-"))
    with guardian.directory(folder):
        try:
            yield folder
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
