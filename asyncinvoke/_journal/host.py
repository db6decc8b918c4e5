"""Identifies this machine and its boot, and the kind of disk that a path is on."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

NETWORK = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.sshfs", "gfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4",
     "smb", "smb2", "smb3", "smbfs"}
)  # fmt: skip
"""File systems of other machines: SQLite's locks and shared memory do not hold on them."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MOUNTS = Path("/proc/self/mountinfo")


def boot_id() -> str | None:
    """Return what names this run of the machine's kernel; `None` where nothing does.

    Marks are not synced to the disk. They are there after a process died, but not surely after the
    machine did; with another boot, or an unknown one, they are not asked.
    """
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text().strip() or None
    if sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(  # no argument comes from anywhere
                ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
            return done.stdout.strip() or None
    return None


def host_name() -> str:
    """Return what this machine calls itself."""
    return socket.gethostname()


def file_system(folder: Path) -> str | None:
    """Return the kind of file system that a folder is on; `None` where it cannot be told."""
    try:
        device = os.stat(folder).st_dev
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return None
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        # 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
        left, _, right = line.partition(" - ")
        if left.split()[2:3] == [wanted]:
            return right.split()[0]
    return None
