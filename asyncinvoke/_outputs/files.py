"""Atomic outputs: renamed into place on a local disk, uploaded elsewhere."""

import contextlib
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from asyncinvoke._inputs.files import name_of, why_of
from asyncinvoke._inputs.formats import Compression, InputError, missing
from asyncinvoke._inputs.seekable import file_system
from asyncinvoke._outputs.parts import new_part, remove_abandoned
from asyncinvoke.errors import AsyncInvokeError

OutputFormatName: TypeAlias = Literal["jsonl", "parquet"]

_COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst"}


@dataclass(frozen=True, slots=True)
class Kind:
    """How an output is written."""

    format: OutputFormatName = "jsonl"
    compression: Compression | None = None
    is_remote: bool = False
    """Whether it is a URL rather than a local file."""

    @property
    def is_whole(self) -> bool:
        """Whether it can only be written as a whole, not line by line while outcomes arrive."""
        return self.is_remote or self.format == "parquet" or self.compression is not None


def kind_of(target: str, given: OutputFormatName | None = None) -> Kind:
    """Return the kind of output that a name implies.

    Args:
        target: A path or a URL.
        given: The format given by the caller, if any.
    """
    lowered = target.lower()
    compression = next((each for end, each in _COMPRESSIONS.items() if lowered.endswith(end)), None)
    by_name: OutputFormatName = "parquet" if lowered.endswith((".parquet", ".pq")) else "jsonl"
    return Kind(
        format=given or by_name,
        compression=None if (given or by_name) == "parquet" else compression,
        is_remote="://" in target,
    )


_OF_THIS_MACHINE = ("file://", "local://")
_READ_ONLY = ("http://", "https://")


def local_name(target: str) -> str:
    """Return the path in a URL of a local file; anything else is returned unchanged."""
    prefix = next((each for each in _OF_THIS_MACHINE if target.lower().startswith(each)), "")
    return target[len(prefix) :]


def real_name(target: str) -> str:
    """Return what an output is known by in any folder: without links and `..` if it is a path."""
    return target if "://" in target else os.path.realpath(target)


class OutputError(Exception):
    """An output cannot be written; an existing file is left unchanged."""


class File(Protocol):
    """A destination for bytes."""

    def write(self, data: bytes, /) -> object:
        """Write all of the data."""


def check(target: str, options: Mapping[str, Any], compression: Compression | None) -> None:
    """Check as far as possible that an output can be written, before any work is done for it.

    Raises:
        ConfigurationError: A library is not installed; the message has the pip command.
        OutputError: The output cannot be written, as its folder does not exist or is read-only.
    """
    if compression is not None:
        _compressor(compression)
    if "://" in target:
        if target.lower().startswith(_READ_ONLY):
            raise OutputError(f"cannot write {name_of(target)}: such a URL can only be read")
        _system(target, options)
        return
    folder = Path(target).absolute().parent
    if not folder.is_dir():
        raise OutputError(f"cannot write {target}: its folder does not exist")
    if Path(target).is_dir():
        raise OutputError(f"cannot write {target}: it is a folder")
    if Path(target).exists() and not Path(target).is_file():
        # The complete file is renamed to the target, which would replace a device or a pipe.
        raise OutputError(f"cannot write {target}: it is not a regular file")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write {target}: it is not allowed")


@contextlib.contextmanager
def written(
    target: str, options: Mapping[str, Any], compression: Compression | None
) -> Iterator[File]:
    """Write a file, or an object in a bucket, which appears when the block ends without an error.

    Raises:
        ConfigurationError: A library is not installed.
        OutputError: The output cannot be written.
    """
    opened = _remote(target, options) if "://" in target else _local(target)
    try:
        with opened as file, _packed(file, compression) as packed:
            yield packed
    except OSError as error:
        raise OutputError(f"cannot write {name_of(target)}: {why_of(error)}") from None


@contextlib.contextmanager
def _local(target: str) -> Iterator[File]:
    # The target of a link is replaced, not the link.
    path = Path(target).resolve() if Path(target).is_symlink() else Path(target)
    remove_abandoned(path)
    part, opened = new_part(path)
    try:
        with opened as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)  # names, as they were given
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)  # names, as they were given
        raise


@contextlib.contextmanager
def _remote(target: str, options: Mapping[str, Any]) -> Iterator[File]:
    system, path = _system(target, options)
    raised_within: BaseException | None = None
    try:
        with system.transaction, system.open(path, "wb") as file:
            try:
                yield _Remote(file, target)
            except BaseException as error:
                raised_within = error
                raise
    except (AsyncInvokeError, OutputError):
        raise
    except Exception as error:
        if error is raised_within:  # raised by the block, not by the file system
            raise
        raise _cannot_write(target, error) from None


class _Remote:
    """A remote file; converts the errors of its file system to `OutputError`."""

    def __init__(self, file: Any, target: str) -> None:
        self._file = file
        self._target = target

    def write(self, data: bytes, /) -> None:
        try:
            self._file.write(data)
        except AsyncInvokeError:
            raise
        except Exception as error:  # noqa: BLE001  # as above
            raise _cannot_write(self._target, error) from None

    # pyarrow needs these two. It would reopen a file that has a path.
    closed = False

    def flush(self) -> None:
        """Do nothing: the file is flushed when it is closed."""


def _cannot_write(target: str, error: Exception) -> OutputError:
    return OutputError(f"cannot write {name_of(target)}: {why_of(error)}")


def _system(target: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    try:
        return file_system(target, options)
    except InputError as error:
        raise OutputError(str(error).replace("cannot read", "cannot write", 1)) from None


@contextlib.contextmanager
def _packed(file: File, compression: Compression | None) -> Iterator[File]:
    if compression is None:
        yield file
        return
    packer = _Packer(file, _compressor(compression))
    yield packer
    packer.finish()


def _compressor(compression: Compression) -> Any:
    if compression == "gz":
        return zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    try:
        import zstandard
    except ImportError:
        raise missing("zstd", "zstandard", "inputs") from None
    return zstandard.ZstdCompressor().compressobj()


class _Packer:
    """Compresses the data written to a file."""

    def __init__(self, file: File, compressor: Any) -> None:
        self._file = file
        self._compressor = compressor

    def write(self, data: bytes, /) -> None:
        packed = self._compressor.compress(data)
        if packed:
            self._file.write(packed)

    def finish(self) -> None:
        self._file.write(self._compressor.flush())
