"""Folders that go when they are no longer needed, whatever ends the endpoint."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from asyncinvoke.local.execution.guardian import Guardian


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
