"""The manifest of an S3 Inventory: its data files, and what they contain."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asyncinvoke._inputs import files
from asyncinvoke._inputs.formats import InputError
from asyncinvoke._inputs.seekable import close_file, open_file

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
        columns = tuple(plain(column) for column in schema.split(","))
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


def plain(column: str) -> str:
    """Return the name of a column in the spelling of both formats: `IsLatest` and `is_latest`."""
    return column.strip().replace("_", "").lower()


def read_manifest(source: str, options: Mapping[str, Any]) -> Manifest:
    """Read a manifest. This blocks.

    Raises:
        ConfigurationError: The package for this kind of URL is not installed.
        InputError: It cannot be read, or is not a manifest.
    """
    name = files.name_of(source)
    file = open_file(source, options)
    try:
        text = file.read(_LONGEST_MANIFEST)
    except Exception as error:  # noqa: BLE001  # each file system has its own
        raise files.cannot_read(name, error) from None
    finally:
        close_file(file)
    return Manifest.parse(text, name)
