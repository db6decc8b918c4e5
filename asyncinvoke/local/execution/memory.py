"""Memory: the peak usage of a process, and its enforcement."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Self

CHECK_INTERVAL = 0.05
"""Seconds between two checks during an invocation."""


def peak(pid: int) -> int:
    """Return the peak resident memory of a process, in MB; 0 if `/proc` does not provide it."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()  # its name may be no valid text
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) // 1024
    return 0


class MemoryWatch:
    """A block in which a process is killed once it exceeds its function's memory.

    Like the service, it counts resident memory. A resource limit would count reserved memory too: at
    128 MB it would refuse the twentieth thread, although its stack is unused. A peak between two
    checks is not missed, since the kernel records it; `enforce` checks once more before a response
    is sent.

    Args:
        pid: The process id.
        limit: The memory limit, in MB.
        kill: Kills the process.
    """

    def __init__(self, pid: int, limit: int, kill: Callable[[], None]) -> None:
        self._pid = pid
        self._limit = limit
        self._kill = kill
        self._timer: asyncio.TimerHandle | None = None
        self.used: int = 0
        """The peak memory usage seen so far, in MB, at most the limit."""
        self.is_over: bool = False
        """Whether it exceeded the limit, and was killed."""

    def __enter__(self) -> Self:
        """Start checking."""
        self._schedule()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop checking."""
        if self._timer is not None:
            self._timer.cancel()

    def enforce(self) -> bool:
        """Check now, and kill the process if it exceeds the limit; return whether it did."""
        used = peak(self._pid)
        if used > self._limit and not self.is_over:
            self.is_over = True
            self._kill()
        self.used = max(self.used, min(used, self._limit))
        return self.is_over

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CHECK_INTERVAL, self._check)

    def _check(self) -> None:
        if not self.enforce():
            self._schedule()
