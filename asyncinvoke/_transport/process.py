"""What process this is: its event loop, whether its task is cancelled, and how many files it may open."""

import os
import sys
from collections.abc import Callable
from importlib import import_module

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


def is_cancelled() -> bool:
    """Return whether the running task is being cancelled; asked where a cancellation was raised.

    On asyncio one may also come from another task that was waited for, and was cancelled.
    """
    if not anyio.get_cancelled_exc_class().__module__.startswith("asyncio"):
        return True
    import asyncio

    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def open_files() -> tuple[int, int] | None:
    """Return the soft limit of open files and how many are open; `None` where it cannot be known."""
    try:
        resource = import_module("resource")  # not there on Windows
        soft = int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        if soft == resource.RLIM_INFINITY:
            return None
        return soft, len(os.listdir("/dev/fd"))
    except (ImportError, OSError):
        return None


def loop_name() -> str:
    """Return which event loop is running: `asyncio`, `uvloop` or `trio`."""
    if not anyio.get_cancelled_exc_class().__module__.startswith("asyncio"):
        return "trio"
    import asyncio

    return type(asyncio.get_running_loop()).__module__.split(".")[0]


def most_files() -> int | None:
    """Return how far the limit of open files can be raised; `None` for no end, or none known."""
    try:
        resource = import_module("resource")
    except ImportError:
        return None
    hard = int(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    return None if hard == resource.RLIM_INFINITY else hard
