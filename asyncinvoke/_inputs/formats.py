"""The format of an input: as given, by its file name, or by its first bytes. Does no I/O."""

import codecs
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from asyncinvoke.errors import AsyncInvokeError, ConfigurationError, InvalidRequestError

FormatName: TypeAlias = Literal["jsonl", "json", "csv", "tsv", "parquet", "listing", "inventory"]
"""The formats: JSON lines, one JSON array, CSV, TSV, Parquet, the objects under an S3 prefix, or
the objects in an S3 Inventory manifest. The first four also take a compression suffix, `.gz` or
`.zst`, as in `csv.gz`."""

Compression: TypeAlias = Literal["gz", "zst"]

_NAMES: tuple[FormatName, ...] = get_args(FormatName)
_SUFFIXES: dict[str, FormatName] = {
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "jsonlines": "jsonl",
    "csv": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "parquet": "parquet",
    "pq": "parquet",
}
_COMPRESSIONS: dict[str, Compression] = {"gz": "gz", "gzip": "gz", "zst": "zst", "zstd": "zst"}
_PACKED: tuple[str, ...] = ("jsonl", "json", "csv", "tsv")


@dataclass(frozen=True, slots=True)
class InputFormat:
    """The format in which an input is read."""

    name: FormatName
    compression: Compression | None = None
    is_given: bool = False
    """Whether the caller specified it; otherwise it is derived from the name."""

    may_be_array: bool = False
    """Whether its name ends in `.json`, as both JSON lines and a JSON array may."""


def format_of(source: str, given: str | None) -> InputFormat:
    """Return the format in which to read a source.

    Args:
        source: A path, a URL, or `-`.
        given: The format given by the caller, if any: a `FormatName`, optionally with compression.

    Raises:
        InvalidRequestError: The given format is not supported.
    """
    if given is not None:
        return _as_given(source, given)
    if is_prefix(source):
        return InputFormat("listing")
    name = _file_name(source)
    if name.startswith("s3://") and name.endswith("/manifest.json"):
        return InputFormat("inventory")
    stem, compression = _unpacked(name)
    suffix = stem.rpartition(".")[2]
    # JSON lines in a `.json` file are common too; which it is, is detected while reading.
    return InputFormat(_SUFFIXES.get(suffix, "jsonl"), compression, may_be_array=suffix == "json")


def _file_name(source: str) -> str:
    """Return what ends in the suffix of a source, in lower case.

    That is the first URL of `zip://in.csv::https://host/a.zip`, and a URL of HTTP without its query,
    which may have a signature.
    """
    name = source.lower()
    if "://" in name and not name.startswith("s3://"):  # a key in S3 may have any characters
        name = next(each for each in name.split("::") if "://" in each)
    if name.startswith(("http://", "https://")):
        name = re.split("[?#]", name, maxsplit=1)[0]
    return name


def is_prefix(source: str) -> bool:
    """Return whether a source is an S3 prefix or a whole bucket, not an object."""
    if not source.lower().startswith("s3://"):
        return False
    bucket, slash, key = source[5:].partition("/")
    return bool(bucket) and (not slash or not key or key.endswith("/"))


def _as_given(source: str, given: str) -> InputFormat:
    name, compression = _unpacked(given) if isinstance(given, str) else ("", None)
    if name == "ndjson":
        name = "jsonl"
    found = next((each for each in _NAMES if each == name), None)
    if found is None or (compression and name not in _PACKED):
        raise InvalidRequestError(
            f"format {given!r} must be one of {', '.join(_NAMES)}; "
            f"{', '.join(_PACKED)} also with .gz or .zst appended"
        )
    if compression is None and name in _PACKED:
        compression = _unpacked(_file_name(source))[1]
    if name == "listing" and not source.lower().startswith("s3://"):
        raise InvalidRequestError("format 'listing' is of a prefix in S3: s3://bucket/prefix/")
    return InputFormat(found, compression, is_given=True)


def _unpacked(name: str) -> tuple[str, Compression | None]:
    stem, _, suffix = name.rpartition(".")
    compression = _COMPRESSIONS.get(suffix)
    return (stem, compression) if stem and compression else (name, None)


class InputError(AsyncInvokeError):
    """An input cannot be opened or read, or does not have the expected format.

    It is raised before the first item if possible, otherwise when reading reaches the problem, such
    as the end of a truncated file. An error in a single row is an error of that item only.
    """


def missing(what: str, package: str, extra: str) -> ConfigurationError:
    """Return the error for a format whose extra is not installed.

    Args:
        what: The format, such as "Parquet".
        package: The package that is not installed.
        extra: The extra that installs it.
    """
    return ConfigurationError(
        f"{what} needs {package}, which is not installed: pip install 'asyncinvoke[{extra}]'"
    )


HEAD = 8
"""The number of bytes needed to detect the kind of an input."""

# Byte order marks first, then magic numbers of other kinds of files. A longer mark comes before any
# shorter one that is its prefix.
_KINDS = (
    (codecs.BOM_UTF32_LE, "UTF-32", "convert it with iconv -f UTF-32 -t UTF-8"),
    (codecs.BOM_UTF32_BE, "UTF-32", "convert it with iconv -f UTF-32 -t UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16", "convert it with iconv -f UTF-16 -t UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16", "convert it with iconv -f UTF-16 -t UTF-8"),
    (b"\x1f\x8b", "compressed (gzip)", "decompress it with gzip -dc"),
    (b"PK\x03\x04", "a zip archive", "unpack it with unzip -p"),
    (b"PK\x05\x06", "an empty zip archive", ""),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)", "decompress it with zstd -dc"),
    (b"\xfd7zXZ\x00", "compressed (xz)", "decompress it with xz -dc"),
    (b"BZh", "compressed (bzip2)", "decompress it with bzip2 -dc"),
    (b"PAR1", "a Parquet file", ""),
)

_OFFICE = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""The magic numbers of office documents: of today's, which are zip archives, and of older ones."""

_WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods")


def other_kind(
    head: bytes, name: str, expected: str = "JSON in UTF-8", *, has_rows: bool = True
) -> str | None:
    """Describe an input whose first bytes cannot be UTF-8 text; return `None` if they can.

    Args:
        head: The first `HEAD` bytes, or fewer if the input is shorter.
        name: The name of the input in messages.
        expected: A description of the expected format.
        has_rows: Whether the input has rows, so that it may be CSV as well.
    """
    if head.startswith(_OFFICE) and name.lower().endswith(_WORKBOOKS):
        cure = ": save it as CSV in UTF-8" if has_rows else ""
        return f"{name} is a spreadsheet, not {expected}{cure}"
    for mark, kind, cure in _KINDS:
        if head.startswith(mark):
            return f"{name} is {kind}, not {expected}{f': {cure}' if cure else ''}"
    # Text has no NUL, but every other byte of UTF-16 is one. There may be only one line so far.
    if b"\x00" in head[:4].partition(b"\n")[0]:
        return f"{name} is binary, or UTF-16 without a mark, not {expected}"
    return None


_READ_AS = {b"\x1f\x8b": "{}.gz", b"\x28\xb5\x2f\xfd": "{}.zst", b"PAR1": "parquet"}


def other_format(head: bytes, format_: InputFormat) -> str | None:
    """Return the format that reads an input of another kind, if there is one.

    Args:
        head: The first bytes of the input, decompressed if its format is a compressed one.
        format_: The format that does not fit.
    """
    if format_.compression is not None:
        return None
    found = (name for mark, name in _READ_AS.items() if head.startswith(mark))
    return next((name.format(format_.name) for name in found), None)
