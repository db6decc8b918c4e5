"""Waiting for another thread or task by polling, with a generous timeout."""

from collections.abc import Callable

import anyio

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
