"""Opens regular files only: opening a pipe would wait for its other end, which may never come."""

import errno
import os
import stat

NOT_REGULAR = "it is not a regular file"
"""Why a folder, a pipe, a socket or a device is not opened."""

_AT_ONCE = getattr(os, "O_NONBLOCK", 0)


def open_regular(path: str | os.PathLike[str], flags: int, mode: int = 0o777) -> int:
    """Open a file as `os.open` does; a function that `open` takes as its `opener`.

    Returns:
        The descriptor.

    Raises:
        OSError: It cannot be opened, or is not a regular file.
    """
    try:
        descriptor = os.open(path, flags | _AT_ONCE, mode)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a pipe that nobody reads
            raise OSError(errno.ENXIO, NOT_REGULAR, os.fspath(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, NOT_REGULAR, os.fspath(path))
    return descriptor
