"""The state of this process: its event loop, the cancellation of its task, its limit of open files."""

import errno
import os
import socket
import sys
from collections.abc import Callable
from importlib import import_module

import anyio


def on_asyncio() -> bool:
    """Return whether the running event loop is an asyncio loop."""
    return anyio.get_cancelled_exc_class().__module__.startswith("asyncio")


def loop_teller() -> Callable[[], object]:
    """Return a function that returns the running event loop, cheap enough for each call.

    It raises `RuntimeError` if no event loop of the same kind is running.
    """
    if on_asyncio():
        import asyncio

        return asyncio.get_running_loop
    current: Callable[[], object] = sys.modules["trio"].lowlevel.current_trio_token
    return current


def is_cancelled() -> bool:
    """Return whether the running task is being cancelled, after a cancellation was raised.

    On asyncio, it may also be raised by awaiting another task that was cancelled.
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
    """Return the soft limit of open files, and the number of open ones; `None` if unknown."""
    try:
        resource = import_module("resource")  # missing on Windows
        soft = int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        if soft == resource.RLIM_INFINITY:
            return None
        return soft, len(os.listdir("/dev/fd"))
    except (ImportError, OSError):
        return None


def loop_name() -> str:
    """Return the name of the running event loop: `asyncio`, `uvloop` or `trio`."""
    if not on_asyncio():
        return "trio"
    import asyncio

    return type(asyncio.get_running_loop()).__module__.split(".")[0]


def most_files() -> int | None:
    """Return the hard limit of open files; `None` if it is unlimited or unknown."""
    try:
        resource = import_module("resource")
    except ImportError:
        return None
    hard = int(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    return None if hard == resource.RLIM_INFINITY else hard
