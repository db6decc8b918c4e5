"""Locks on open files, which are released when the process dies, on systems that have them."""

import contextlib
import os
import sys
import weakref
from typing import IO, Any

if sys.platform == "win32":

    def lock(file: IO[Any]) -> bool:  # noqa: ARG001  # there are no such locks
        """Return `False`: an abandoned part cannot be distinguished from one being written."""
        return False

    def wait(file: IO[Any]) -> None:
        """Do nothing: processes that use a file at the same time do not take turns."""

else:
    import fcntl

    def lock(file: IO[Any]) -> bool:
        """Lock an open file until it is closed; return whether it was unlocked before.

        Return `False` too if the file system has no locks.
        """
        return _is_locked(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def wait(file: IO[Any]) -> None:
        """Lock an open file until it is closed, as soon as no other process has it locked.

        Do nothing if the file system has no locks: processes do not take turns then.
        """
        _is_locked(file, fcntl.LOCK_EX)

    def _is_locked(file: IO[Any], how: int) -> bool:
        with contextlib.suppress(OSError):
            fcntl.flock(file.fileno(), how)
            _locked.add(file)
            return True
        return False

    _locked: weakref.WeakSet[IO[Any]] = weakref.WeakSet()

    def _leave_in_child() -> None:
        """Drop a forked child's copies of the files, which would keep them locked.

        They are replaced rather than closed, which would write what the parent has buffered.
        """
        for file in list(_locked):
            if not file.closed:
                with contextlib.suppress(OSError):
                    _replace(file.fileno())

    def _replace(descriptor: int) -> None:
        os.close(descriptor)  # before the other is opened, for which there may be no place left
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != descriptor:
            os.dup2(nowhere, descriptor, inheritable=False)
            os.close(nowhere)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_leave_in_child)
