"""The objects in an S3 Inventory: its manifest, and then one data file after the other."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

from anyio import to_thread

from asyncinvoke._inputs import files
from asyncinvoke._inputs.compression import Gzip
from asyncinvoke._inputs.errors import InputError
from asyncinvoke._inputs.formats import Format
from asyncinvoke._inputs.lines import Row
from asyncinvoke._inputs.objects import as_row
from asyncinvoke._inputs.parquet import Parquet
from asyncinvoke._inputs.text import Text

_LONGEST_MANIFEST = 67_108_864


class Inventory:
    """The objects that a manifest's files name; markers of deletion are none.

    Args:
        paths: The URLs of the data files.
        columns: What their columns are called, as `fileSchema` says.
        options: What the file system is opened with.
        name: What the inventory is called.
    """

    def __init__(
        self, paths: list[str], columns: list[str] | None, options: Mapping[str, Any], name: str
    ) -> None:
        self._paths = paths
        self._columns = columns
        self._options = options
        self._name = name
        self._file: Text | Parquet | None = None
        self.total: int | None = None

    @classmethod
    def open(cls, source: str, options: Mapping[str, Any]) -> "Inventory":
        """Read a manifest.

        Raises:
            ConfigurationError: What reads it is not installed.
            InputError: It cannot be read, or is none.
        """
        name = files.name_of(source)
        with contextlib.closing(files.open_file(source, options)) as file:
            try:
                text = file.read(_LONGEST_MANIFEST)
            except Exception as error:  # noqa: BLE001  # each file system has its own
                raise files.cannot_read(name, error) from None
        try:
            manifest = json.loads(text)
            bucket = str(manifest["destinationBucket"]).removeprefix("arn:aws:s3:::")
            paths = [f"s3://{bucket}/{entry['key']}" for entry in manifest["files"]]
            kind, schema = str(manifest["fileFormat"]), str(manifest["fileSchema"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{name} is no manifest of an S3 Inventory") from None
        if kind not in ("CSV", "Parquet"):
            raise InputError(f"{name} is an inventory in {kind[:20]}; CSV and Parquet are read")
        columns = [_plain(column) for column in schema.split(",")] if kind == "CSV" else None
        if columns is not None and not {"bucket", "key"} <= set(columns):
            raise InputError(f"{name} names no columns Bucket and Key in its fileSchema")
        return cls(paths, columns, options, name)

    async def rows(self) -> Iterator[Row] | None:
        """Return the next rows, or `None` at the end.

        Raises:
            InputError: A data file cannot be read.
        """
        while True:
            if self._file is None:
                if not self._paths:
                    return None
                self._file = await to_thread.run_sync(self._open_next)
            rows = await self._file.rows()
            if rows is not None:
                return self._objects(rows)
            await self.close()

    async def close(self) -> None:
        """Close the data file that is open."""
        file, self._file = self._file, None
        if file is not None:
            await file.close()

    def _open_next(self) -> Text | Parquet:
        path = self._paths.pop(0)
        if self._columns is None:
            return Parquet.open(path, self._options)
        file = files.open_file(path, self._options)
        blocks = files.Unpacked(files.Remote(file, path), Gzip(path))
        return Text(blocks, path, Format("csv", "gz"), header=self._columns)

    def _objects(self, rows: Iterator[Row]) -> Iterator[Row]:
        is_csv = self._columns is not None
        for line, data, wrong in rows:
            if wrong is not None:
                yield None, data, f"in a data file of the inventory: line {line}: {wrong}"
                continue
            row = {_plain(name): value for name, value in json.loads(data).items()}
            if str(row.get("isdeletemarker")).lower() == "true":
                continue
            key = row.get("key")
            if not isinstance(key, str) or not isinstance(row.get("bucket"), str):
                yield None, b"", "in a data file of the inventory: no bucket or no key"
                continue
            size = str(row.get("size") or "")
            yield as_row(
                row["bucket"],
                unquote_plus(key) if is_csv else key,
                int(size) if size.isdigit() else None,
                row.get("etag") or None,
                row.get("versionid") or None,
            )


def _plain(column: str) -> str:
    """Return a column's name as both kinds of file spell it: `IsLatest` and `is_latest`."""
    return column.strip().replace("_", "").lower()
