"""The code of functions that were created from a zip: unpacked, and gone when the endpoint closes."""

import base64
import binascii
import hashlib
import io
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from asyncinvoke.local.functions import Source
from asyncinvoke.local.management.problems import invalid

UNZIPPED_LIMIT = 262_144_000
"""Largest package once it is unzipped, in bytes (AWS's quota of 250 MB)."""

NOT_A_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that was uploaded."""

    directory: Path
    """Where its files are."""
    size: int
    """Its size as a zip, in bytes."""
    sha256: str
    """Its hash, in base64."""

    def source(self, handler: str) -> Source:
        """Say where its handler is."""
        return source_in(self.directory, handler)


def source_in(directory: Path, handler: str) -> Source:
    """Say where a handler is, written `module.function` or `folder/module.function`.

    Raises:
        ApiError: It is written otherwise.
    """
    module, dot, function = handler.replace("/", ".").rpartition(".")
    if not (dot and module and function.isidentifier()):
        raise invalid(f"Handler {handler}: it must be module.function.")
    return Source(
        directory=directory,
        handler=f"{module}.{function}",
        file=directory.joinpath(*module.split(".")).with_suffix(".py"),
    )


class CodeStore:
    """Unpacks packages, each into a directory of its own."""

    def __init__(self) -> None:
        self._root: tempfile.TemporaryDirectory[str] | None = None
        self._number = 0

    def unpack(self, zip_file: object) -> Package:
        """Unpack a zip in base64.

        Raises:
            ApiError: It is none, or too large.
        """
        if not isinstance(zip_file, str):
            raise invalid(
                "Please provide a source for function code: this endpoint takes a ZipFile."
            )
        try:
            content = base64.b64decode(zip_file, validate=True)
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > UNZIPPED_LIMIT:
                    raise invalid(f"Unzipped size must be smaller than {UNZIPPED_LIMIT} bytes")
                directory = self._new_directory()
                archive.extractall(directory)
        except (binascii.Error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise invalid(NOT_A_ZIP) from error
        digest = hashlib.sha256(content).digest()
        return Package(
            directory=directory, size=len(content), sha256=base64.b64encode(digest).decode()
        )

    def close(self) -> None:
        """Delete everything."""
        root, self._root = self._root, None
        if root is not None:
            root.cleanup()

    def _new_directory(self) -> Path:
        if self._root is None:
            self._root = tempfile.TemporaryDirectory(
                prefix="asyncinvoke-", ignore_cleanup_errors=True
            )
        self._number += 1
        return Path(self._root.name, str(self._number))
