"""Runs the endpoint in the background: on the caller's asyncio loop, or on a loop in a thread."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from anyio import to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal

Main: TypeAlias = Callable[..., Coroutine[Any, Any, None]]
"""The service: `main(task_status=...)` reports its port and runs until it is stopped."""


class Background(Protocol):
    """Runs one `Main` in the background."""

    async def start(self, main: Main) -> int:
        """Start it; return the port once it is reported."""
        ...

    async def join(self) -> None:
        """Wait for it to end."""
        ...


def choose_background() -> Background:
    """Return the caller's loop if it is asyncio's, or a loop in a thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return InThread()
    return InLoop()


class InLoop:
    """A task on the caller's asyncio loop.

    It is not part of the caller's task, since a test fixture may leave the block in another task than
    the one that entered it.
    """

    _task: asyncio.Task[None]

    async def start(self, main: Main) -> int:
        """Start it; return the port once it is reported."""
        status = _Status()
        self._task = asyncio.create_task(main(task_status=status))
        try:
            either: tuple[asyncio.Future[Any], ...] = (self._task, status.port)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait({self._task})
            raise
        if not status.port.done():
            await self._task
        return status.port.result()

    async def join(self) -> None:
        """Wait for it to end."""
        await self._task


class _Status:
    def __init__(self) -> None:
        self.port: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def started(self, value: int) -> None:
        self.port.set_result(value)


class InThread:
    """An asyncio loop in a thread, for callers on trio."""

    _manager: AbstractContextManager[BlockingPortal]
    _portal: BlockingPortal
    _main: Future[None]

    async def start(self, main: Main) -> int:
        """Start it; return the port once it is reported."""
        return await to_thread.run_sync(self._start, main)

    def _start(self, main: Main) -> int:
        self._manager = start_blocking_portal("asyncio", name="asyncinvoke-local-loop")
        self._portal = self._manager.__enter__()
        try:
            self._main, port = self._portal.start_task(main)
        except BaseException:
            self._manager.__exit__(None, None, None)
            raise
        return int(port)

    async def join(self) -> None:
        """Wait for it to end."""
        await to_thread.run_sync(self._join)

    def _join(self) -> None:
        try:
            self._main.result()
        finally:
            self._manager.__exit__(None, None, None)
