"""Identifies this machine, its boot, and the type of the file system that a folder is on."""

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
"""Network file systems: SQLite's locks and shared memory do not work on them."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MOUNTS = Path("/proc/self/mountinfo")


def boot_id() -> str | None:
    """Return the ID of the current boot of this machine; `None` if it has none.

    Marks are not synced to the disk: they survive the death of the process, but not always a crash
    of the machine. So marks of another boot, or of an unknown one, are not consulted.
    """
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip() or None
    if sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(  # all arguments are constants
                ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
            return done.stdout.strip() or None
    return None


def host_name() -> str:
    """Return the host name of this machine; what of it is no valid text is replaced."""
    return socket.gethostname().encode(errors="replace").decode()


def file_system(folder: Path) -> str | None:
    """Return the type of the file system that a folder is on; `None` if it cannot be determined."""
    try:
        device = os.stat(folder).st_dev
        lines = _MOUNTS.read_bytes().split(b"\n")  # names of folders may be no valid text
    except OSError:
        return None
    wanted = b"%d:%d" % (os.major(device), os.minor(device))
    for line in lines:
        # 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
        left, _, right = line.partition(b" - ")
        if left.split()[2:3] == [wanted]:
            return os.fsdecode(right.split()[0])
    return None
