"""The code of functions that were created from a zip: unpacked, kept while in use, then deleted."""

import base64
import binascii
import hashlib
import io
import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from asyncinvoke.local.functions.configuration import Source
from asyncinvoke.local.protocol import refusals

UNZIPPED_LIMIT = 262_144_000
"""Largest package once it is unzipped, in bytes (AWS's quota of 250 MB)."""

NOT_A_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."

# What `zipfile` and the modules behind it raise for archives that are broken or made to break it.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that was uploaded."""

    directory: Path
    """Where its files are."""
    size: int
    """Its size as a zip, in bytes."""
    sha256: str
    """Its hash, in base64."""


def source_in(directory: Path, handler: str) -> Source:
    """Say where a handler is, written `module.function` or `folder/module.function`.

    Raises:
        Refusal: It is written otherwise.
    """
    module, dot, function = handler.replace("/", ".").rpartition(".")
    parts = module.split(".")
    if not (dot and all(parts) and "\0" not in module and function.isidentifier()):
        raise refusals.invalid(f"Handler {handler!r}: it must be module.function.")
    return Source(
        directory=directory,
        handler=f"{module}.{function}",
        file=directory.joinpath(*parts).with_suffix(".py"),
    )


class CodeStore:
    """Unpacks packages, each into a directory of its own."""

    def __init__(self) -> None:
        self._root: tempfile.TemporaryDirectory[str] | None = None
        self._directories: set[Path] = set()
        self._number = 0

    def unpack(self, zip_file: str | None) -> Package:
        """Unpack a zip in base64.

        Raises:
            Refusal: It is not one, or too large.
        """
        if zip_file is None:
            raise refusals.invalid(
                "Please provide a source for function code: this endpoint takes a ZipFile."
            )
        directory = self._new_directory()
        try:
            content = base64.b64decode(zip_file, validate=True)
            _extract(content, directory)
        except _BROKEN as error:
            raise refusals.invalid(NOT_A_ZIP) from error
        digest = hashlib.sha256(content).digest()
        return Package(
            directory=directory, size=len(content), sha256=base64.b64encode(digest).decode()
        )

    def keep(self, in_use: AbstractSet[Path]) -> None:
        """Delete what is no longer in use."""
        for directory in self._directories - in_use:
            shutil.rmtree(directory, ignore_errors=True)
            self._directories.discard(directory)

    def close(self) -> None:
        """Delete everything."""
        root, self._root = self._root, None
        self._directories.clear()
        if root is not None:
            root.cleanup()

    def _new_directory(self) -> Path:
        if self._root is None:
            self._root = tempfile.TemporaryDirectory(
                prefix="asyncinvoke-", ignore_cleanup_errors=True
            )
        self._number += 1
        # As the functions that run there see it: with symbolic links followed.
        directory = Path(self._root.name, str(self._number)).resolve()
        directory.mkdir()
        self._directories.add(directory)
        return directory


def _extract(content: bytes, directory: Path) -> None:
    """Unpack into a directory, and never outside: `zipfile` drops `..` and leading slashes.

    A size that an entry only claims is caught too: no more than that is read, and then the checksum
    is wrong.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > UNZIPPED_LIMIT:
            raise refusals.invalid(f"Unzipped size must be smaller than {UNZIPPED_LIMIT} bytes")
        for entry in entries:
            path = Path(archive.extract(entry, directory))
            # A program that a package brings along stays one.
            if entry.external_attr >> 16 & 0o111 and path.is_file():
                path.chmod(0o755)
