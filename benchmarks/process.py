"""Memory of the running process, as reported by the kernel."""

import contextlib
from pathlib import Path


def memory(name: str) -> int:
    """Return a figure of /proc/self/status in bytes, such as `VmRSS`; 0 except on Linux."""
    # `ru_maxrss` would include what the parent process weighed.
    try:
        status = Path("/proc/self/status").read_text("utf-8")
    except OSError:
        return 0
    return int(status.partition(f"{name}:")[2].split(maxsplit=1)[0]) * 1024


def forget_peak() -> None:
    """Reset `VmHWM` to the current memory; no effect except on Linux."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
