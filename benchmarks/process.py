"""What the running process weighs, as the kernel keeps it."""

import contextlib
from pathlib import Path


def memory(name: str) -> int:
    """Read one of Linux's figures in bytes, such as `VmRSS`; 0 on other systems."""
    # `ru_maxrss` would include what the parent process weighed.
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(status.partition(f"{name}:")[2].split(maxsplit=1)[0]) * 1024


def forget_peak() -> None:
    """Let `VmHWM` begin again at what the process weighs now; does nothing on other systems."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
