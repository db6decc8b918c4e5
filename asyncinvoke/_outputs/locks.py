"""Locks on open files, which are released when the process dies, on systems that have them."""

import contextlib
import sys

if sys.platform == "win32":

    def lock(descriptor: int) -> bool:  # noqa: ARG001  # there are no such locks
        """Return `False`: an abandoned part cannot be distinguished from one being written."""
        return False

    def wait(descriptor: int) -> None:
        """Do nothing: processes that use a file at the same time do not take turns."""

else:
    import fcntl

    def lock(descriptor: int) -> bool:
        """Lock an open file until it is closed; return whether it was unlocked before.

        Return `False` too if the file system has no locks.
        """
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def wait(descriptor: int) -> None:
        """Lock an open file until it is closed, as soon as no other process has it locked.

        Do nothing if the file system has no locks: processes do not take turns then.
        """
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
