"""The code of functions created from a zip: unpacked, kept while in use, then deleted."""

import base64
import binascii
import errno
import hashlib
import io
import lzma
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anyio import to_thread

from asyncinvoke.local.execution.guardian import Guardian
from asyncinvoke.local.functions.configuration import Source
from asyncinvoke.local.protocol import refusals

UNZIPPED_LIMIT = 262_144_000
"""The maximum size of an unzipped package, in bytes (AWS's quota of 250 MB)."""

ZIPPED_LIMIT = 52_428_800
"""The maximum size of a package in a request, in bytes (AWS's own error text)."""

NOT_A_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."

# The exceptions of `zipfile` and its decompressors for damaged or malicious archives.
_BROKEN = (
    binascii.Error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)

# The errors of this machine, which no other package would avoid.
_OF_THE_MACHINE = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOSPC,
    errno.EROFS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An unpacked package."""

    directory: Path
    """The directory of its files."""
    size: int
    """The size of the zip, in bytes."""
    sha256: str
    """The SHA-256 hash of the zip, in base64."""


def source_in(directory: Path, handler: str, layers: tuple[Path, ...] = ()) -> Source:
    """Return the source of a handler, given as `module.function` or `folder/module.function`.

    As in AWS, a handler of any other form is accepted, and reported by the runtime when it starts.

    Args:
        directory: The directory of its code.
        handler: The handler.
        layers: The directories of its layers.

    Raises:
        Refusal: The handler cannot be passed to a process.
    """
    if "\0" in handler:
        raise refusals.invalid(f"Handler {handler!r}: it must not hold the character NUL.")
    parts = handler.rpartition(".")[0].replace("/", ".").split(".")
    return Source(
        directory=directory,
        handler=handler,
        file=directory.joinpath(*parts).with_suffix(".py"),
        layers=layers,
    )


class CodeStore:
    """Unpacks packages, each into its own directory; in threads, because it may take seconds.

    Args:
        guardian: Deletes everything if the endpoint is killed.
    """

    def __init__(self, guardian: Guardian) -> None:
        self._guardian = guardian
        self._held = ExitStack()
        self._root: Path | None = None
        self._directories: set[Path] = set()
        self._new: set[Path] = set()
        self._number = 0

    @asynccontextmanager
    async def unpacked(self, content: bytes) -> AsyncIterator[Package]:
        """Unpack a package for the block; it may be deleted afterwards unless it is in use.

        Raises:
            OSError: The disk is full, or this machine has another fault.
            Refusal: It is not a zip, or too large.
        """
        directory = self._new_directory()
        self._new.add(directory)
        try:
            try:
                digest = await to_thread.run_sync(_extract, content, directory)
            except _BROKEN as error:
                if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
                    raise
                raise refusals.invalid(NOT_A_ZIP) from error
            yield Package(directory=directory, size=len(content), sha256=digest)
        finally:
            self._new.discard(directory)

    async def keep(self, in_use: AbstractSet[Path]) -> None:
        """Delete all packages that are not in use."""
        for directory in self._directories - in_use - self._new:
            self._directories.discard(directory)
            await to_thread.run_sync(partial(shutil.rmtree, directory, ignore_errors=True))

    async def close(self) -> None:
        """Delete everything."""
        root, self._root = self._root, None
        self._directories.clear()
        if root is not None:
            await to_thread.run_sync(partial(shutil.rmtree, root, ignore_errors=True))
        self._held.close()

    def _new_directory(self) -> Path:
        if self._root is None:
            # Resolved, as functions see it.
            root = Path(tempfile.mkdtemp(prefix="asyncinvoke-")).resolve()
            try:
                self._held.enter_context(self._guardian.directory(root))
            except OSError:  # the guardian cannot be started, and the next package tries again
                root.rmdir()
                raise
            self._root = root
        self._number += 1
        directory = self._root / str(self._number)
        directory.mkdir()
        self._directories.add(directory)
        return directory


def content_of(zip_file: str) -> bytes:
    """Decode a package from base64.

    Raises:
        Refusal: It is not valid base64.
    """
    try:
        return base64.b64decode(zip_file, validate=True)
    except (binascii.Error, ValueError) as error:
        raise refusals.invalid(NOT_A_ZIP) from error


def _extract(content: bytes, directory: Path) -> str:
    """Unpack into a directory; return the SHA-256 hash in base64.

    Nothing is written outside of it: `zipfile` drops `..` and leading slashes. An entry that is larger
    than it claims fails, because only the claimed size is read and the checksum is then wrong.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > UNZIPPED_LIMIT:
            raise refusals.invalid(f"Unzipped size must be smaller than {UNZIPPED_LIMIT} bytes")
        links: list[Path] = []
        for entry in entries:
            path = Path(archive.extract(entry, directory))
            mode = entry.external_attr >> 16
            if stat.S_ISLNK(mode) and path.is_file():
                links.append(path)
            # Keep programs executable.
            elif mode & 0o111 and path.is_file():
                path.chmod(0o755)
    _link(links, directory)
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def _link(links: list[Path], directory: Path) -> None:
    """Replace files that contain the target of a symbolic link by links; drop those that lead outside.

    The target of a link may depend on other links, so all are created before any is checked.
    """
    for path in links:
        target = path.read_bytes()
        path.unlink()
        path.symlink_to(os.fsdecode(target))
    for path in links:
        if path.is_symlink() and not _resolved(path).is_relative_to(directory):
            path.unlink()


def _resolved(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except FileNotFoundError:
        return path.resolve()
    except (OSError, RuntimeError):  # a link to itself
        return Path(path.anchor)
