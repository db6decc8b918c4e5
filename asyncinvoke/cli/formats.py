"""What an input is that is not one JSON text a line: told from its beginning. Reads nothing itself."""

import codecs

from asyncinvoke.cli.jsonl import NotJsonError, check_json

HEAD = 8
"""How many bytes of an input it takes to tell its kind."""

# Encodings first, then what files of other kinds begin with. Longer marks come before those that
# they begin with.
_KINDS = (
    (codecs.BOM_UTF32_LE, "UTF-32", "iconv -f UTF-32 -t UTF-8"),
    (codecs.BOM_UTF32_BE, "UTF-32", "iconv -f UTF-32 -t UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16", "iconv -f UTF-16 -t UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16", "iconv -f UTF-16 -t UTF-8"),
    (b"\x1f\x8b", "compressed (gzip)", "gzip -dc"),
    (b"PK\x03\x04", "a zip archive", "unzip -p"),
    (b"PK\x05\x06", "an empty zip archive", ""),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)", "zstd -dc"),
    (b"\xfd7zXZ\x00", "compressed (xz)", "xz -dc"),
    (b"BZh", "compressed (bzip2)", "bzip2 -dc"),
    (b"PAR1", "a Parquet file", ""),
)


def other_kind(head: bytes, name: str) -> str | None:
    """Say what an input is whose first bytes cannot be JSON in UTF-8; `None` if they can.

    Args:
        head: Its first bytes, `HEAD` of them if there are so many.
        name: What the input is called.
    """
    for mark, kind, cure in _KINDS:
        if head.startswith(mark):
            return f"{name} is {kind}, not JSON in UTF-8{f': {cure} makes it so' if cure else ''}"
    # JSON has no NUL, but half of UTF-16's bytes are such.
    if b"\x00" in head[:4]:
        return f"{name} is binary, or UTF-16 without a mark, not JSON in UTF-8"
    return None


def as_document(first: bytes, second: bytes | None, name: str) -> str | None:
    """Say that an input is one JSON document over several lines, if its beginning tells so.

    Args:
        first: Its first line that is not empty.
        second: The second; `None` if there is no other.
        name: What the input is called.

    Returns:
        `None` where the first line is a JSON text of its own, or merely broken: that says nothing
        of the lines that follow.
    """
    if second is None or not is_cut(first):
        return None
    if not (is_cut(together := first + b"\n" + second) or is_json(together)):
        return None
    if first.startswith(b"["):
        return as_array(name)
    return f"{name} is JSON over several lines, not a line each: jq -c . makes it so"


def as_array(name: str) -> str:
    """Say that an input is one array."""
    return (
        f"{name} is one JSON array, not a line each: jq -c '.[]' makes it so "
        "(asyncinvoke invoke sends it as one payload)"
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
