"""Locks on open files that end with their process, where the system has them."""

import contextlib
import sys

if sys.platform == "win32":

    def lock(descriptor: int) -> bool:  # noqa: ARG001  # there are no such locks
        """Return `False`: a part that was left is not told from one that is being written."""
        return False

else:
    import fcntl

    def lock(descriptor: int) -> bool:
        """Lock an open file until it is closed; return whether nobody else had locked it.

        It is also `False` where the file system has no locks.
        """
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False
