"""Waiting for other tasks, or for another thread by polling with a generous timeout."""

import asyncio
from collections.abc import Callable

import anyio
import sniffio

PATIENCE = 20.0
"""Timeout in seconds for something that should happen."""


LONGER = (0.3, 1.5, 7.5, 30.0)
"""Timeouts in seconds for something that must happen before a deadline, to be tried in turn: a busy
machine gets enough time, and any other only needs the first."""


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, without blocking the event loop; works on asyncio and trio.

    Raises:
        TimeoutError: It did not hold in time.
    """
    with anyio.fail_after(PATIENCE):
        while not condition():
            await anyio.sleep(0.002)


async def settle() -> None:
    """Wait until all other tasks wait for something: time, a socket, a thread or this task.

    On asyncio, anyio's `wait_all_tasks_blocked` sleeps for 0.1 s whenever it finds a task that can
    run. This one lets them run.
    """
    if sniffio.current_async_library() != "asyncio":
        await anyio.wait_all_tasks_blocked()
        return
    # Whatever can run is there, in asyncio's own loop; this task is not while it runs.
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    await anyio.sleep(0)
    while ready:
        await anyio.sleep(0)
