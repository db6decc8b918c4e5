"""The format of an input: as given, by its file name, or by its first bytes. Does no I/O."""

import codecs
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from asyncinvoke._inputs.json_text import NotJsonError, check_json
from asyncinvoke._inputs.lines import HELD
from asyncinvoke.errors import AsyncInvokeError, ConfigurationError, InvalidRequestError

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


class InputError(AsyncInvokeError):
    """An input cannot be opened or read, or is not what it says it is.

    It is raised before the first item where it can be known then; else where reading came to it,
    as of a file that breaks off. What is wrong with one row is the error of that item alone.
    """


def missing(what: str, package: str, extra: str) -> ConfigurationError:
    """Return the error of something that an extra would read, which is not installed.

    Args:
        what: What is asked for, such as "Parquet".
        package: What is not installed.
        extra: The extra that brings it.
    """
    return ConfigurationError(
        f"reading {what} needs {package}, which is not installed: "
        f"pip install 'asyncinvoke[{extra}]'"
    )


NotLines: TypeAlias = Literal["array", "document"]
"""One JSON array, or another JSON text over several lines."""

HEAD = 8
"""How many bytes of an input it takes to tell its kind."""

# Encodings first, then what files of other kinds begin with. Longer marks come before those that
# they begin with.
_KINDS = (
    (codecs.BOM_UTF32_LE, "UTF-32", "iconv -f UTF-32 -t UTF-8 makes it so"),
    (codecs.BOM_UTF32_BE, "UTF-32", "iconv -f UTF-32 -t UTF-8 makes it so"),
    (codecs.BOM_UTF16_LE, "UTF-16", "iconv -f UTF-16 -t UTF-8 makes it so"),
    (codecs.BOM_UTF16_BE, "UTF-16", "iconv -f UTF-16 -t UTF-8 makes it so"),
    (b"\x1f\x8b", "compressed (gzip)", "gzip -dc makes it so"),
    (b"PK\x03\x04", "a zip archive", "unzip -p makes it so"),
    (b"PK\x05\x06", "an empty zip archive", ""),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)", "zstd -dc makes it so"),
    (b"\xfd7zXZ\x00", "compressed (xz)", "xz -dc makes it so"),
    (b"BZh", "compressed (bzip2)", "bzip2 -dc makes it so"),
    (b"PAR1", "a Parquet file", ""),
)


def other_kind(head: bytes, name: str, expected: str = "JSON in UTF-8") -> str | None:
    """Say what an input is whose first bytes cannot be text in UTF-8; `None` if they can.

    Args:
        head: Its first bytes, `HEAD` of them if there are so many.
        name: What the input is called.
        expected: What it should be.
    """
    for mark, kind, cure in _KINDS:
        if head.startswith(mark):
            return f"{name} is {kind}, not {expected}{f': {cure}' if cure else ''}"
    # Text has no NUL, but half of UTF-16's bytes are such. No more than a line may be there yet.
    if b"\x00" in head[:4].partition(b"\n")[0]:
        return f"{name} is binary, or UTF-16 without a mark, not {expected}"
    return None


def not_lines(head: bytes, *, is_all: bool, is_json_file: bool) -> NotLines | None:
    """Tell what an input is whose first lines show that it is not one JSON text a line.

    Args:
        head: What has been read of it.
        is_all: Whether that is all of it.
        is_json_file: Whether it is a file whose name ends in `.json`, all of which is there.

    Returns:
        `None` where the first line is a JSON text of its own, or merely broken: that says nothing
        of the lines that follow.

    Raises:
        NeedsMoreError: It cannot be told yet. No line is kept back that could be sent: a second one
            is waited for only where the first is not JSON by itself, or where the input is a file.
    """
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    first, end, rest = text.partition(b"\n")
    if not end and not is_all:
        if len(text) <= HELD:
            raise NeedsMoreError
        # No line that Lambda takes; but it may be an array that is to be read as one.
        return "array" if text.startswith(b"[") else None
    first, rest = first.strip(), rest.lstrip()
    second, second_end, _ = rest.partition(b"\n")
    if first.startswith(b"[") and (len(first) > HELD or is_json(first)):
        if is_json_file and end and not rest and not is_all:
            raise NeedsMoreError
        is_only_one = not rest and (not end or is_json_file)
        return "array" if is_only_one else None
    if end and first in (b"[", b"{"):
        return "array" if first == b"[" else "document"  # whatever is wrong with what follows
    if is_json_file and first.startswith(b"["):
        return "array"  # with a mistake in it, or over several lines
    if not end or not is_cut(first):
        return None
    if not (second_end or is_all) and len(rest) <= HELD:
        raise NeedsMoreError
    both = first + b"\n" + second.strip()
    if not second.strip() or not (is_cut(both) or is_json(both)):
        return None
    return "array" if first.startswith(b"[") else "document"


class NeedsMoreError(Exception):
    """More of the input has to be read before its kind can be told."""


def say_not_lines(kind: NotLines, name: str) -> str:
    """Say what an input is that is not one JSON text a line."""
    if kind == "document":
        return f"{name} is JSON over several lines, not a line each: jq -c . makes it so"
    return (
        f"{name} is one JSON array, not a line each: --from json (format='json') reads it so, "
        "an item for each element"
    )


def is_json(text: bytes) -> bool:
    """Whether text is JSON."""
    try:
        check_json(text)
    except NotJsonError:
        return False
    return True


def is_cut(text: bytes) -> bool:
    """Whether text is the beginning of a JSON array or object, and ends between its parts."""
    if not text.startswith((b"{", b"[")):
        return False
    try:
        check_json(text)
    except NotJsonError as error:
        return error.is_cut
    return False
