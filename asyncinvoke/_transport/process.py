"""Facts about this process: its event loop, whether its task is cancelled, how many files it may open."""

import errno
import os
import socket
import sys
from collections.abc import Callable
from importlib import import_module

import anyio


def on_asyncio() -> bool:
    """Whether the running event loop is one of asyncio's."""
    return anyio.get_cancelled_exc_class().__module__.startswith("asyncio")


def loop_teller() -> Callable[[], object]:
    """Return a function that tells the running event loop, cheap enough to be asked by each call.

    It raises `RuntimeError` where none of the same kind is running.
    """
    if on_asyncio():
        import asyncio

        return asyncio.get_running_loop
    current: Callable[[], object] = sys.modules["trio"].lowlevel.current_trio_token
    return current


def is_cancelled() -> bool:
    """Return whether the running task is being cancelled; asked where a cancellation was raised.

    On asyncio one may also come from another task that was waited for, and was cancelled.
    """
    if not on_asyncio():
        return True
    import asyncio

    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def is_for_want_of_a_file(error: OSError) -> bool:
    """Return whether an `OSError` was caused by running out of file descriptors.

    A DNS resolver that can open neither its files nor a socket does not report that, but an unknown
    name or a temporary failure. So this tries whether a file can be opened now.
    """
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return True
    return (isinstance(error, socket.gaierror) or error.errno == errno.EBUSY) and _is_starved()


def _is_starved() -> bool:
    try:
        ends = os.pipe()
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    for end in ends:
        os.close(end)
    return False


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
    if not on_asyncio():
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
