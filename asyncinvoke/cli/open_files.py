"""The limit on open files: raised as far as allowed, and how many are left."""

import contextlib
import os

_KEPT = 16
"""How many are left for all but connections: the event loop, name resolution, files of settings."""

_MOST_ON_MACOS = 10_240


def raise_open_files() -> None:
    """Raise the soft limit to the hard one. Connections are files, and shells give few of those."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # macOS says that there is no end, and takes no more than this.
    for wanted in (hard, _MOST_ON_MACOS):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return


def openable() -> int | None:
    """Return how many connections this process can open, at least 1; `None` for no end."""
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return None
    try:
        taken = len(os.listdir("/dev/fd"))
    except OSError:
        taken = _KEPT
    return max(soft - taken - _KEPT, 1)


def warning(concurrency: int, connections: int) -> str:
    """Say that more is asked for than can be opened."""
    return (
        f"--concurrency {concurrency:,} is more than the files that this process may open: "
        f"at most {connections:,} invocations are in flight at once (ulimit -n says how many files)"
    )
