"""Seekable files, of paths and, with the help of fsspec, of URLs: opened, read in blocks, closed."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from anyio import to_thread

from asyncinvoke._inputs.files import BLOCK, cannot_read, is_pipe, name_of
from asyncinvoke._inputs.formats import InputError, missing
from asyncinvoke.errors import AsyncInvokeError, ConfigurationError


def open_file(source: str, options: Mapping[str, Any], *, size: int | None = None) -> Any:
    """Open a path or a URL as a seekable binary file. This blocks.

    Args:
        source: The path or URL.
        options: The options of the file system.
        size: The number of bytes that the file must have, if that is known.

    Raises:
        ConfigurationError: The package for this kind of URL is not installed.
        InputError: It cannot be opened, or has another size.
    """
    name = name_of(source)
    try:
        file = _open(source, options)
    except AsyncInvokeError:
        raise
    except Exception as error:  # noqa: BLE001  # each file system has its own
        raise cannot_read(name, error) from None
    found = getattr(file, "size", None)
    if size is not None and isinstance(found, int) and found != size:
        close_file(file)
        raise InputError(f"{name} has {found:,} bytes, and should have {size:,}")
    return file


def _open(source: str, options: Mapping[str, Any]) -> Any:
    if "://" in source:
        system, path = file_system(source, options)
        return _Held(system.open(path, "rb", block_size=4 * BLOCK), system)
    if not is_pipe(source):
        return Path(source).open("rb")
    raise InputError(f"cannot read {source}: it is a pipe, and must be a file")


class _Held:
    """A file that keeps its file system: an archive closes its files when it is collected."""

    def __init__(self, file: Any, system: Any) -> None:
        self._file = file
        self._system = system

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def file_system(source: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it. This blocks.

    Raises:
        ConfigurationError: fsspec, or the package for this kind of URL, is not installed.
        InputError: fsspec does not know this kind of URL, or an S3 URL names no bucket.
    """
    scheme, _, rest = source.partition("://")
    scheme = scheme.lower()
    name = name_of(source)
    is_s3 = scheme == "s3"
    if is_s3 and not rest.partition("/")[0]:
        raise InputError(f"cannot read {name}: it names no bucket")
    try:
        import fsspec
    except ImportError:
        if is_s3:
            raise missing("s3://", "s3fs", "s3") from None
        raise missing(f"{scheme}://", "fsspec", "inputs") from None
    try:
        return _found(fsspec, scheme, rest, options)
    except ImportError as error:
        if is_s3:
            raise missing("s3://", "s3fs", "s3") from None
        raise ConfigurationError(
            f"{scheme}:// needs a library that is not installed: {error}"
        ) from None
    except Exception as error:  # noqa: BLE001  # each file system has its own
        if isinstance(error, ValueError) and "protocol" in str(error).lower():
            raise InputError(f"cannot read {name}: fsspec knows no {scheme}://") from None
        raise cannot_read(name, error) from None


def _found(fsspec: Any, scheme: str, rest: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    if scheme == "s3" and "::" in rest:
        # fsspec would take this for one URL within another; in S3 it is part of a key.
        return fsspec.filesystem(scheme, **options), rest
    system, path = fsspec.core.url_to_fs(f"{scheme}://{rest}", **options)
    return system, path


def close_file(file: Any) -> None:
    """Close a file that was opened by fsspec; what was read is right, whatever its file system says."""
    with contextlib.suppress(Exception):
        file.close()


class Remote:
    """The blocks of a file that was opened by fsspec.

    Args:
        file: The file.
        name: The name of the input in messages.
    """

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self._name = name

    @property
    def is_decoded(self) -> bool:
        """Whether it comes by HTTP with a content encoding, such as gzip, that aiohttp has undone."""
        headers = getattr(getattr(self._file, "r", None), "headers", {})  # of the response
        return "Content-Encoding" in headers

    async def read(self) -> bytes:
        """Return the next block; nothing at the end."""
        try:
            block: bytes = await to_thread.run_sync(self._file.read, BLOCK, abandon_on_cancel=True)
        except Exception as error:  # noqa: BLE001  # each file system has its own
            raise cannot_read(self._name, error) from None
        return block

    async def close(self) -> None:
        """Close it."""
        await to_thread.run_sync(close_file, self._file)


class Watched:
    """A file that keeps the error that it raised, if any.

    pyarrow's errors describe the format. Those of a file system pass through pyarrow, and their
    messages may contain a signed URL; this tells them apart.

    Args:
        file: The file.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self.error: Exception | None = None
        """The last error of the file."""

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return bool(self._file.closed)

    def read(self, size: int = -1) -> bytes:
        """Read some bytes, or all that are left."""
        return bytes(self._call(self._file.read, size))

    def seek(self, offset: int, whence: int = 0) -> int:
        """Change the position; return the new one."""
        return int(self._call(self._file.seek, offset, whence))

    def tell(self) -> int:
        """Return the position."""
        return int(self._file.tell())

    def close(self) -> None:
        """Close the file."""
        close_file(self._file)

    def _call(self, method: Callable[..., Any], *arguments: int) -> Any:
        try:
            return method(*arguments)
        except Exception as error:
            self.error = error
            raise
