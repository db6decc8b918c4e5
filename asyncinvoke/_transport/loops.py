"""Which event loop this is: an invoker and its connections belong to one."""

import sys
from collections.abc import Callable

import anyio


def loop_teller() -> Callable[[], object]:
    """Return a function that tells the running event loop, cheap enough to be asked by each call.

    It raises `RuntimeError` where none of the same kind is running.
    """
    if anyio.get_cancelled_exc_class().__module__.startswith("asyncio"):
        import asyncio

        return asyncio.get_running_loop
    current: Callable[[], object] = sys.modules["trio"].lowlevel.current_trio_token
    return current
