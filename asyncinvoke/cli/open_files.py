"""The limit on open files: raised as far as allowed, and how many are left."""

import contextlib
import os

from asyncinvoke.cli.errors import CommandError

_KEPT = 16
"""Files reserved for everything but connections: event loop, name resolution, config files."""

_FEWEST = 16
"""The minimum for a single invocation."""

_OF_A_COMMAND = 4
"""What a command that has just started has open: the standard streams, and the folder of its files."""

_OF_A_PROCESS = 6
"""What a process of a divided run takes of its parent: three pipes, and as many while it starts."""

_MOST_ON_MACOS = 10_240


def raise_open_files() -> None:
    """Raise the soft limit to the hard one: each connection is a file, and the default is low."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # macOS reports no limit, but accepts no more than this.
    for wanted in (hard, _MOST_ON_MACOS):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return


def openable() -> int | None:
    """Return how many connections this process can open, at least 1; `None` for no limit."""
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return None
    taken = _taken()
    return max(soft - (_KEPT if taken is None else taken) - _KEPT, 1)


def _taken() -> int | None:
    """Return how many files are open in this process; `None` if the system does not say."""
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return None


def check_open_files(*, processes: int = 0) -> None:
    """Check that the limit allows the files that every command needs, such as the event loop's.

    Args:
        processes: How many processes are going to be started.

    Raises:
        CommandError: The limit is too low, and the event loop or a process would fail to start.
    """
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    inherited = max((_taken() or 0) - _OF_A_COMMAND, 0)  # such as those of a shell or a supervisor
    fewest = _FEWEST + _OF_A_PROCESS * processes + inherited
    if soft != resource.RLIM_INFINITY and soft < fewest:
        raise CommandError(
            f"the limit of {soft} open files is too low: ulimit -n {max(fewest, 1024)}"
        )


def warning(concurrency: int, connections: int) -> str:
    """Return the warning for a concurrency above the limit on open files."""
    return (
        f"--concurrency {concurrency:,} exceeds the limit on open files: "
        f"at most {connections:,} invocations are in flight at once (ulimit -n shows the limit)"
    )
