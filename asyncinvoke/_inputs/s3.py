"""S3 objects as items: those under a prefix, page by page, or those listed in an S3 Inventory."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

from anyio import to_thread

from asyncinvoke._inputs import files
from asyncinvoke._inputs.compression import Gzip
from asyncinvoke._inputs.formats import Format, InputError
from asyncinvoke._inputs.lines import Row
from asyncinvoke._inputs.parquet import Parquet
from asyncinvoke._inputs.text import Text

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def as_row(bucket: str, key: str, size: int | None, etag: str | None, version: str | None) -> Row:
    """Return the row of an object.

    Args:
        bucket: Its bucket.
        key: Its key.
        size: Its bytes, where that is known.
        etag: Its ETag, with quotes or without.
        version: Its version, where that is known; `null` is that of a bucket without versions.
    """
    text = _encode(
        {
            "bucket": bucket,
            "key": key,
            "size": size,
            "etag": etag.strip('"') if etag else None,
            "version": version if version and version != "null" else None,
        }
    )
    return None, text.encode("utf-8", "backslashreplace"), None


class Listing:
    """A prefix in S3, in the order of its keys.

    Args:
        system: s3fs' file system.
        bucket: The bucket.
        prefix: What all keys begin with.
        name: What it is called.
        with_versions: Whether the current version of each object is asked for, which takes another
            permission: `s3:ListBucketVersions`.
    """

    def __init__(
        self, system: Any, bucket: str, prefix: str, name: str, *, with_versions: bool
    ) -> None:
        self._system = system
        self._bucket = bucket
        self._prefix = prefix
        self._name = name
        self._with_versions = with_versions
        self._next: dict[str, str] | None = {}
        self.total: int | None = None

    @classmethod
    def open(cls, source: str, options: Mapping[str, Any]) -> "Listing":
        """Take a prefix, `s3://bucket/prefix/`.

        Raises:
            ConfigurationError: s3fs is not installed.
        """
        system, _ = files.file_system(source, options)
        bucket, _, prefix = source[len("s3://") :].partition("/")
        return cls(
            system,
            bucket,
            prefix,
            files.name_of(source),
            with_versions=bool(options.get("version_aware")),
        )

    async def rows(self) -> Iterator[Row] | None:
        """Return the next page, or `None` at the end.

        Raises:
            InputError: The bucket cannot be listed.
        """
        if self._next is None:
            return None
        return iter(await to_thread.run_sync(self._page, abandon_on_cancel=True))

    async def close(self) -> None:
        """Close nothing: a page is there whole or not at all."""

    def _page(self) -> list[Row]:
        method = "list_object_versions" if self._with_versions else "list_objects_v2"
        try:
            page = self._system.call_s3(
                method, Bucket=self._bucket, Prefix=self._prefix, **(self._next or {})
            )
        except Exception as error:  # noqa: BLE001  # s3fs and botocore have many
            raise files.cannot_read(self._name, error) from None
        self._next = None
        if page.get("IsTruncated"):
            self._next = (
                {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
                if self._with_versions
                else {"ContinuationToken": page["NextContinuationToken"]}
            )
        entries = page.get("Versions" if self._with_versions else "Contents") or []
        return [
            as_row(
                self._bucket, entry["Key"], entry["Size"], entry.get("ETag"), entry.get("VersionId")
            )
            for entry in entries
            if entry.get("IsLatest", True) and not _is_folder(entry)
        ]


def _is_folder(entry: Mapping[str, Any]) -> bool:
    """Whether it is what the console makes of "create folder"."""
    return bool(entry["Key"].endswith("/") and not entry["Size"])


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
            raise InputError(f"{name} is not an S3 Inventory manifest") from None
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
                int(size) if size.isdecimal() and len(size) < 20 else None,
                row.get("etag") or None,
                row.get("versionid") or None,
            )


def _plain(column: str) -> str:
    """Return a column's name as both kinds of file spell it: `IsLatest` and `is_latest`."""
    return column.strip().replace("_", "").lower()
