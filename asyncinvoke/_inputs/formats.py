"""Which format an input has, and how it is compressed: as told, or by the end of its name."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from asyncinvoke.errors import InvalidRequestError

FormatName: TypeAlias = Literal["jsonl", "json", "csv", "tsv", "parquet", "listing", "inventory"]
"""What an input can be: JSON lines, one JSON array, CSV, TSV, Parquet, the objects under a prefix in
S3, or those in the manifest of an S3 Inventory. A `.gz` or `.zst` behind the first four says how it
is compressed, as in `csv.gz`."""

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
class Format:
    """How an input is to be read."""

    name: FormatName
    compression: Compression | None = None
    is_told: bool = False
    """Whether somebody said so, or else its name did."""


def format_of(source: str, told: str | None) -> Format:
    """Return how a source is to be read.

    Args:
        source: A path, a URL, or `-`.
        told: What the caller says, if anything: a `FormatName`, with its compression or without.

    Raises:
        InvalidRequestError: The caller says something else.
    """
    if told is not None:
        return _as_told(source, told)
    if is_prefix(source):
        return Format("listing")
    lowered = source.lower()
    if lowered.startswith("s3://") and lowered.endswith("/manifest.json"):
        return Format("inventory")
    stem, compression = _unpacked(lowered)
    # A `.json` of lines is common, too: which it is shows when it is read.
    return Format(_SUFFIXES.get(stem.rpartition(".")[2], "jsonl"), compression)


def is_prefix(source: str) -> bool:
    """Whether a source is a prefix in S3, or a whole bucket, and no object."""
    if not source.lower().startswith("s3://"):
        return False
    bucket, slash, key = source[5:].partition("/")
    return bool(bucket) and (not slash or not key or key.endswith("/"))


def _as_told(source: str, told: str) -> Format:
    name, compression = _unpacked(told) if isinstance(told, str) else ("", None)
    if name == "ndjson":
        name = "jsonl"
    found = next((each for each in _NAMES if each == name), None)
    if found is None or (compression and name not in _PACKED):
        raise InvalidRequestError(
            f"format {told!r} must be one of {', '.join(_NAMES)}; "
            f"{', '.join(_PACKED)} also with .gz or .zst behind it"
        )
    if compression is None and name in _PACKED:
        compression = _unpacked(source.lower())[1]
    if name == "listing" and not source.lower().startswith("s3://"):
        raise InvalidRequestError("format 'listing' is of a prefix in S3: s3://bucket/prefix/")
    return Format(found, compression, is_told=True)


def _unpacked(name: str) -> tuple[str, Compression | None]:
    stem, _, suffix = name.rpartition(".")
    compression = _COMPRESSIONS.get(suffix)
    return (stem, compression) if stem and compression else (name, None)
