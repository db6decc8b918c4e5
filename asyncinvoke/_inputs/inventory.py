"""The objects listed in an S3 Inventory as items: parses its manifest, then its data files."""

import contextlib
import hashlib
import json
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from anyio import to_thread

from asyncinvoke._inputs import files
from asyncinvoke._inputs.compression import Gzip
from asyncinvoke._inputs.formats import Format, InputError
from asyncinvoke._inputs.lines import Row
from asyncinvoke._inputs.opening import open_file
from asyncinvoke._inputs.parquet import Parquet
from asyncinvoke._inputs.s3 import as_row
from asyncinvoke._inputs.text import Text

_LONGEST_MANIFEST = 67_108_864
_MD5 = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file, as the manifest describes it."""

    url: str
    """Its URL."""

    size: int | None
    """Its number of bytes, if the manifest has it."""

    md5: str | None
    """Its MD5 checksum in hexadecimal, if the manifest has it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of a manifest."""

    files: tuple[DataFile, ...]
    """The data files."""

    columns: tuple[str, ...] | None
    """The names of the columns of CSV files; `None` for Parquet, whose files have them."""

    @classmethod
    def parse(cls, text: bytes, name: str) -> "Manifest":
        """Parse the text of a manifest.

        Raises:
            InputError: It is not a manifest, or its format is not supported.
        """
        try:
            manifest = json.loads(text)
            # arn:aws:s3:::bucket, with another partition in China and for governments.
            bucket = _text(manifest["destinationBucket"]).rpartition(":::")[2]
            data_files = tuple(_data_file(bucket, entry) for entry in manifest["files"])
            kind, schema = _text(manifest["fileFormat"]), _text(manifest["fileSchema"])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise InputError(f"{name} is not an S3 Inventory manifest") from None
        if kind == "Parquet":
            return cls(data_files, None)
        if kind != "CSV":
            raise InputError(f"{name} is an inventory in {kind[:20]}; CSV and Parquet are read")
        columns = tuple(_plain(column) for column in schema.split(","))
        if not {"bucket", "key"} <= set(columns):
            raise InputError(f"{name} names no columns Bucket and Key in its fileSchema")
        if max(Counter(columns).values()) > 1:
            raise InputError(f"{name} names a column twice in its fileSchema")
        return cls(data_files, columns)


def _data_file(bucket: str, entry: Mapping[str, Any]) -> DataFile:
    size, md5 = entry.get("size"), entry.get("MD5checksum")
    return DataFile(
        url=f"s3://{bucket}/{_text(entry['key'])}",
        size=size if isinstance(size, int) else None,
        md5=md5.lower() if isinstance(md5, str) and _MD5.fullmatch(md5.lower()) else None,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _plain(column: str) -> str:
    """Return the name of a column in the spelling of both formats: `IsLatest` and `is_latest`."""
    return column.strip().replace("_", "").lower()


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
    def open(cls, source: str, options: Mapping[str, Any]) -> "Inventory":
        """Read a manifest.

        Raises:
            ConfigurationError: A required package is not installed.
            InputError: The manifest cannot be read, or is not one.
        """
        name = files.name_of(source)
        with contextlib.closing(open_file(source, options)) as file:
            try:
                text = file.read(_LONGEST_MANIFEST)
            except Exception as error:  # noqa: BLE001  # each file system has its own
                raise files.cannot_read(name, error) from None
        return cls(Manifest.parse(text, name), options)

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
        blocks = Checked(files.Remote(file, url), url, data_file.md5)
        return Text(
            files.Unpacked(blocks, Gzip(url)),
            url,
            Format("csv", "gz"),
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
            members = {_plain(name): value for name, value in json.loads(data).items()}
            if str(members.get("isdeletemarker")).lower() != "true":
                yield _row(members, is_csv=is_csv)


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
