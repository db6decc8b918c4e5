"""Opens inputs, and reads them in blocks without blocking the event loop."""

import errno
import os
import stat
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import anyio
from anyio import to_thread

from asyncinvoke._inputs.compression import AT_ONCE, Decompressor
from asyncinvoke._inputs.formats import InputError

BLOCK = 1_048_576
"""How many bytes are read at once, at most."""

STDIN = 0


class Blocks(Protocol):
    """What gives the bytes of an input, block by block."""

    async def read(self) -> bytes:
        """Return the next block; nothing at the end.

        Raises:
            InputError: It cannot be read.
        """

    async def close(self) -> None:
        """Close it."""


class Descriptor:
    """The blocks of a file, pipe, terminal or socket of this machine.

    Waiting for a pipe can be cancelled, which a thread that waits for it could not.

    Args:
        descriptor: Where it is read from.
        name: What it is called.
        is_ours: Whether it is closed with this.
    """

    def __init__(self, descriptor: int, name: str, *, is_ours: bool) -> None:
        self._descriptor = descriptor
        self._name = name
        self._is_ours = is_ours

    @property
    def status(self) -> os.stat_result | None:
        """What the system says of it, if it is a file."""
        try:
            status = os.fstat(self._descriptor)
        except OSError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    async def read(self) -> bytes:
        """Return what is there, or wait for it; nothing at the end."""
        try:
            if self.status is None and await is_ready(anyio.wait_readable, self._descriptor):
                return os.read(self._descriptor, BLOCK)
            return await to_thread.run_sync(os.read, self._descriptor, BLOCK)
        except OSError as error:
            raise cannot_read(self._name, error) from None

    async def close(self) -> None:
        """Close it, if it is ours."""
        if self._is_ours:
            self._is_ours = False
            os.close(self._descriptor)


class Remote:
    """The blocks of a file that fsspec has opened.

    Args:
        file: The file.
        name: What it is called.
    """

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self._name = name

    async def read(self) -> bytes:
        """Return the next block; nothing at the end."""
        try:
            block: bytes = await to_thread.run_sync(self._file.read, BLOCK, abandon_on_cancel=True)
        except Exception as error:  # noqa: BLE001  # each file system has its own
            raise cannot_read(self._name, error) from None
        return block

    async def close(self) -> None:
        """Close it."""
        await to_thread.run_sync(self._file.close)


class Unpacked:
    """Blocks, decompressed.

    Args:
        blocks: What is compressed.
        decompressor: What decompresses it.
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
    """Open a file, or with `-` take standard input.

    Raises:
        InputError: It cannot be opened.
    """
    if source == "-":
        return Descriptor(STDIN, name_of(source), is_ours=False)
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        if is_pipe(source):
            # Or opening it would wait for who writes it, and nothing could end that.
            flags |= os.O_NONBLOCK
        descriptor = os.open(source, flags)
    except (OSError, ValueError) as error:
        raise cannot_read(source, error) from None
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"cannot read {source}: it is a directory")
    return Descriptor(descriptor, source, is_ours=True)


def is_pipe(source: str) -> bool:
    """Whether a path is that of a named pipe."""
    return stat.S_ISFIFO(os.stat(source).st_mode)


def name_of(source: str) -> str:
    """Return what a source is called in messages: without what a URL may hold that is secret."""
    if source == "-":
        return "standard input"
    if "://" not in source:
        return source
    if "::" in source:  # one in another, as in zip://a.csv::https://host/a.zip
        return "::".join(name_of(each) for each in source.split("::"))
    try:
        parts = urlsplit(source)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return source.partition("?")[0]
    return f"{parts.scheme}://{host}{parts.path}"


def cannot_read(name: str, error: Exception) -> InputError:
    """Return the error of an input that cannot be opened or read."""
    return InputError(f"cannot read {name}: {why_of(error)}")


def why_of(error: Exception) -> str:
    """Say why a file cannot be read or written.

    What libraries say may hold a signed URL or a key, so only the system's own words are repeated.
    """
    match error:
        case OSError(errno=errno.EBADF):
            return "it is closed"
        case FileNotFoundError():
            return "No such file or directory"
        case PermissionError():
            return "Permission denied"
        case IsADirectoryError():
            return "it is a directory"
        case OSError() if type(error).__name__ == "FileExpired":  # of s3fs
            return "it was replaced while it was read"
        case OSError() if error.strerror and error.errno:
            return error.strerror
    return type(error).__name__


async def is_ready(wait: Callable[[int], Awaitable[None]], descriptor: int) -> bool:
    """Wait until a terminal, pipe or socket is ready; `False` for what cannot be waited for."""
    try:
        await wait(descriptor)
    except PermissionError:
        return False
    return True
