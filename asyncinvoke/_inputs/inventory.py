"""The objects listed in an S3 Inventory as items: checks its data files, then reads them."""

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

import anyio
from anyio import to_thread

from asyncinvoke._inputs import files
from asyncinvoke._inputs.compression import Gzip
from asyncinvoke._inputs.formats import InputError, InputFormat
from asyncinvoke._inputs.lines import Row
from asyncinvoke._inputs.manifest import DataFile, Manifest, plain, read_manifest
from asyncinvoke._inputs.parquet import Parquet
from asyncinvoke._inputs.s3 import as_row
from asyncinvoke._inputs.seekable import Remote, close_file, open_file
from asyncinvoke._inputs.text import Text
from asyncinvoke.errors import AsyncInvokeError

CHECKED_AT_ONCE = 16
"""The number of data files that are checked at once, before the first one is read."""


class Checked:
    """Blocks whose MD5 checksum is verified at the end.

    Args:
        blocks: The blocks.
        name: The name of the file in messages.
        md5: The expected checksum; `None` compares nothing.
    """

    def __init__(self, blocks: files.Blocks, name: str, md5: str | None) -> None:
        self._blocks = blocks
        self._name = name
        self._md5 = md5
        self._hashed = hashlib.md5(usedforsecurity=False)

    async def read(self) -> bytes:
        """Return the next block; nothing at the end.

        Raises:
            InputError: The checksum differs, or the file cannot be read.
        """
        block = await self._blocks.read()
        if self._md5 is not None:
            self._hashed.update(block)
            if not block and self._hashed.hexdigest() != self._md5:
                raise InputError(
                    f"{self._name} is not the file that the manifest names: its MD5 checksum differs"
                )
        return block

    async def close(self) -> None:
        """Close them."""
        await self._blocks.close()


class Inventory:
    """The objects in the data files of an inventory, without delete markers.

    Args:
        manifest: The manifest.
        options: The options of the file system.
    """

    def __init__(self, manifest: Manifest, options: Mapping[str, Any]) -> None:
        self._left = deque(manifest.files)
        self._columns = manifest.columns
        self._options = options
        self._file: Text | Parquet | None = None
        self.total: int | None = None

    @classmethod
    async def open(cls, source: str, options: Mapping[str, Any]) -> "Inventory":
        """Read a manifest, and check that its data files exist and have their sizes.

        Raises:
            ConfigurationError: A required package is not installed.
            InputError: The manifest cannot be read, or is not one; or a data file cannot be opened,
                or has another size.
        """
        manifest = await to_thread.run_sync(read_manifest, source, options)
        await _check_files(manifest.files, options)
        return cls(manifest, options)

    async def rows(self) -> Iterator[Row] | None:
        """Return the next rows, or `None` at the end.

        Raises:
            InputError: A data file cannot be read, or is not the one that the manifest names.
        """
        while True:
            if self._file is None:
                if not self._left:
                    return None
                self._file = await to_thread.run_sync(self._open, self._left.popleft())
            rows = await self._file.rows()
            if rows is not None:
                return self._objects(rows)
            await self.close()

    async def close(self) -> None:
        """Close the data file that is open."""
        file, self._file = self._file, None
        if file is not None:
            await file.close()

    def _open(self, data_file: DataFile) -> Text | Parquet:
        url = data_file.url
        if self._columns is None:
            return Parquet.open(url, self._options, size=data_file.size)
        file = open_file(url, self._options, size=data_file.size)
        blocks = Checked(Remote(file, url), url, data_file.md5)
        return Text(
            files.Unpacked(blocks, Gzip(url)),
            url,
            InputFormat("csv", "gz"),
            is_packed_file=True,
            header=list(self._columns),
        )

    def _objects(self, rows: Iterator[Row]) -> Iterator[Row]:
        is_csv = self._columns is not None
        for line, data, wrong in rows:
            if wrong is not None:
                where = "" if line is None else f"line {line}: "
                yield None, data, f"{_WHERE}: {where}{wrong}"
                continue
            members = {plain(name): value for name, value in json.loads(data).items()}
            if str(members.get("isdeletemarker")).lower() != "true":
                yield _row(members, is_csv=is_csv)


async def _check_files(data_files: Sequence[DataFile], options: Mapping[str, Any]) -> None:
    """Open each data file, which takes one request, a few at a time; raise the first one's error."""

    async def check(data_file: DataFile) -> None:
        try:
            await to_thread.run_sync(_check_file, data_file, options, abandon_on_cancel=True)
        except AsyncInvokeError as error:
            errors[data_file] = error

    for at in range(0, len(data_files), CHECKED_AT_ONCE):
        checked = data_files[at : at + CHECKED_AT_ONCE]
        errors: dict[DataFile, AsyncInvokeError] = {}
        async with anyio.create_task_group() as group:
            for each in checked:
                group.start_soon(check, each)
        for each in checked:
            if each in errors:
                raise errors[each]


def _check_file(data_file: DataFile, options: Mapping[str, Any]) -> None:
    close_file(open_file(data_file.url, options, size=data_file.size))


_WHERE = "in a data file of the inventory"


def _row(members: Mapping[str, Any], *, is_csv: bool) -> Row:
    """Return the row of an object; in CSV its key is URL-encoded."""
    bucket, key = members.get("bucket"), members.get("key")
    if not isinstance(key, str) or not isinstance(bucket, str) or not (bucket and key):
        return None, b"", f"{_WHERE}: no bucket or no key"
    if is_csv:
        try:
            key = unquote_plus(key, errors="strict")
        except UnicodeDecodeError:
            return None, b"", f"{_WHERE}: a key that is not UTF-8"
    size = str(members.get("size") or "")
    return as_row(
        bucket,
        key,
        int(size) if size.isdecimal() and len(size) < 20 else None,
        members.get("etag") or None,
        members.get("versionid") or None,
    )
