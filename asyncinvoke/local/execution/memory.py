"""Memory: how much a process used, by the operating system's count, and its end at the limit."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Self

CHECK_INTERVAL = 0.05
"""Seconds between two looks at a process that runs an invocation."""


def peak(pid: int) -> int:
    """Return the most memory that a process has used so far, in MB; 0 where `/proc` cannot tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return 0


class MemoryWatch:
    """A block in which a process is killed once it has used more memory than its function has.

    Like the service it counts what is resident. A resource limit would count what is reserved too:
    at 128 MB it refuses the twentieth thread, of whose stack nothing is used. A peak between two
    looks is not missed, since the kernel keeps it; `enforce` looks once more before an answer goes
    out.

    Args:
        pid: The process.
        limit: MB that it may use.
        kill: Ends it.
    """

    def __init__(self, pid: int, limit: int, kill: Callable[[], None]) -> None:
        self._pid = pid
        self._limit = limit
        self._kill = kill
        self._timer: asyncio.TimerHandle | None = None
        self.used: int = 0
        """The most MB that the process was seen to use, at most the limit."""
        self.is_over: bool = False
        """Whether it used more than the limit, and so was killed."""

    def __enter__(self) -> Self:
        """Begin to look."""
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        if self._timer is not None:
            self._timer.cancel()

    def enforce(self) -> bool:
        """Look now, and kill the process if it is over its limit; return whether it was."""
        used = peak(self._pid)
        if used > self._limit and not self.is_over:
            self.is_over = True
            self._kill()
        self.used = max(self.used, min(used, self._limit))
        return self.is_over

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CHECK_INTERVAL, self._look)

    def _look(self) -> None:
        if not self.enforce():
            self._wait()
