"""Waiting for another thread or task by polling, with a generous timeout."""

from collections.abc import Callable

import anyio

PATIENCE = 20.0
"""Seconds after which something that should have happened will not happen any more."""


LONGER = (0.3, 1.5, 7.5, 30.0)
"""Seconds for something that must happen before a time is up, to be tried in turn: a busy machine
gets the time that it needs, and any other one waits no longer than the first."""


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, without blocking the event loop; works on asyncio and trio.

    Raises:
        TimeoutError: It did not hold in time.
    """
    with anyio.fail_after(PATIENCE):
        while not condition():
            await anyio.sleep(0.002)
