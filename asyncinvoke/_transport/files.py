"""How many files this process may open, and how many it has open."""

import os
from importlib import import_module


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
