"""Opens inputs, and reads them in blocks without blocking the event loop."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import anyio
from anyio import to_thread

from asyncinvoke._inputs.compression import AT_ONCE, Decompressor
from asyncinvoke._inputs.formats import InputError

BLOCK = 1_048_576
"""The maximum number of bytes that are read at once."""

STDIN = 0


class Blocks(Protocol):
    """The bytes of an input, read block by block."""

    async def read(self) -> bytes:
        """Return the next block; nothing at the end.

        Raises:
            InputError: It cannot be read.
        """

    async def close(self) -> None:
        """Close it."""


class Descriptor:
    """The blocks of a local file, pipe, terminal or socket.

    Waiting for a pipe is done in the event loop, because a thread could not be cancelled.

    Args:
        descriptor: The file descriptor.
        name: The name of the input in messages.
        is_ours: Whether `close` closes the descriptor.
    """

    def __init__(self, descriptor: int, name: str, *, is_ours: bool) -> None:
        self._descriptor = descriptor
        self._name = name
        self._is_ours = is_ours

    @property
    def status(self) -> os.stat_result | None:
        """The `os.stat_result` of the descriptor, if it is a regular file."""
        try:
            status = os.fstat(self._descriptor)
        except OSError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    async def read(self) -> bytes:
        """Return the next block, waiting if there is none yet; nothing at the end."""
        try:
            if self.status is None and await is_ready(anyio.wait_readable, self._descriptor):
                return os.read(self._descriptor, BLOCK)
            return await to_thread.run_sync(os.read, self._descriptor, BLOCK)
        except OSError as error:
            raise cannot_read(self._name, error) from None

    async def close(self) -> None:
        """Close the descriptor, if it is ours."""
        if self._is_ours:
            self._is_ours = False
            with contextlib.suppress(OSError):  # what was read is right
                os.close(self._descriptor)


class Unpacked:
    """Decompressed blocks.

    Args:
        blocks: The compressed blocks.
        decompressor: The decompressor.
    """

    def __init__(self, blocks: Blocks, decompressor: Decompressor) -> None:
        self._blocks = blocks
        self._decompressor = decompressor
        self._pieces: Any = iter(())

    async def read(self) -> bytes:
        """Return the next block; nothing at the end."""
        while True:
            block = await to_thread.run_sync(self._gather)
            if block:
                return block
            packed = await self._blocks.read()
            if not packed:
                self._decompressor.finish()
                return b""
            self._pieces = self._decompressor.feed(packed)

    async def close(self) -> None:
        """Close it."""
        await self._blocks.close()

    def _gather(self) -> bytes:
        gathered = bytearray()
        for piece in self._pieces:
            gathered += piece
            if len(gathered) >= AT_ONCE:
                break
        return bytes(gathered)


def open_descriptor(source: str) -> Descriptor:
    """Open a local file, or standard input if the source is `-`.

    Raises:
        InputError: It cannot be opened.
    """
    if source == "-":
        return Descriptor(STDIN, name_of(source), is_ours=False)
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        if is_pipe(source):
            # Otherwise opening it would block until a writer opens it, and could not be cancelled.
            flags |= os.O_NONBLOCK
        descriptor = os.open(source, flags)
    except (OSError, ValueError) as error:
        raise cannot_read(source, error) from None
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"cannot read {source}: it is a directory")
    return Descriptor(descriptor, source, is_ours=True)


def is_pipe(source: str) -> bool:
    """Return whether a path is a named pipe."""
    return stat.S_ISFIFO(os.stat(source).st_mode)


def has_one_reader(source: str) -> bool:
    """Return whether each byte of a source goes to one of its readers: a pipe, or standard input."""
    try:
        return source == "-" or is_pipe(source)
    except (OSError, ValueError):
        return False  # not a path, or not there: opening it tells


def name_of(source: str) -> str:
    """Return the name of a source in messages; of a URL without its user, password and query."""
    if source == "-":
        return "standard input"
    if "://" not in source:
        return source
    if "::" in source:  # a URL within another, as in zip://a.csv::https://host/a.zip
        pieces = source.partition("?")[0].split("::")
        if any("@" in each and "://" not in each for each in pieces):
            return f"{source.partition('://')[0]}://..."  # the :: is within a password
        return "::".join(name_of(each) for each in pieces)
    try:
        parts = urlsplit(source)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:  # where its user and password end cannot be told
        return f"{source.partition('://')[0]}://..."
    return f"{parts.scheme}://{host}{parts.path}"


def cannot_read(name: str, error: Exception) -> InputError:
    """Return the error for an input that cannot be opened or read."""
    return InputError(f"cannot read {name}: {why_of(error)}")


def why_of(error: Exception) -> str:
    """Return why a file cannot be read or written.

    A library's message may contain a signed URL or a key, so only the system's messages are used.
    """
    match error:
        case OSError(errno=errno.EBADF):
            return "it is closed"
        case FileNotFoundError():
            return _why_not_found(error)
        case PermissionError():
            return "Permission denied"
        case IsADirectoryError():
            return "it is a directory"
        case OSError() if type(error).__name__ == "FileExpired":  # of s3fs
            return "it was replaced while it was read"
        case OSError() if error.strerror and error.errno:
            return error.strerror
        case ValueError() if _NO_RANGES.search(str(error)):
            return "its server does not support range requests"
        case _ if type(error).__name__ == "EndpointConnectionError":  # of botocore
            return "its endpoint cannot be reached"
    return type(error).__name__


# What fsspec says if a file must be sought in that can only be read from its beginning.
_NO_RANGES = re.compile("range requests|Cannot seek streaming HTTP file")


def _why_not_found(error: FileNotFoundError) -> str:
    # fsspec raises it for any failure of an HTTP request, with the failure as its cause.
    cause = error.__cause__
    status = getattr(cause, "status", None)
    if isinstance(status, int) and status not in (404, 410):
        return f"the server answers with status {status}"
    if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
        return why_of(cause)
    return "No such file or directory"


async def is_ready(wait: Callable[[int], Awaitable[None]], descriptor: int) -> bool:
    """Wait until a descriptor is ready; return `False` if it is of a kind that cannot be waited for."""
    try:
        await wait(descriptor)
    except PermissionError:
        return False
    return True
