"""What the first lines of an input are: JSON lines, an array, a document, or no JSON. Does no I/O."""

import codecs
import csv
from typing import Literal, TypeAlias

from asyncinvoke._inputs.json_text import NotJsonError, check_json
from asyncinvoke._inputs.lines import HELD

NotLines: TypeAlias = Literal["array", "document", "csv", "tsv", "text", "malformed"]
"""One JSON array, another JSON document over several lines, CSV, TSV, other text, or what is neither
JSON nor text."""

LOOKED_AT = 10
"""The number of lines that are looked at: one of them must be JSON."""

FEWEST = 3
"""The minimum number of lines to refuse an input for: fewer may just be malformed items."""


def not_lines(head: bytes, *, is_all: bool, is_json_file: bool) -> NotLines | None:
    """Detect from its first lines that an input is not JSON lines.

    Args:
        head: The bytes that have been read so far.
        is_all: Whether that is the whole input.
        is_json_file: Whether it is a complete file whose name ends in `.json`.

    Returns:
        What it is instead, or `None` if one of the lines is JSON by itself, or there are too few
        lines to tell.

    Raises:
        NeedsMoreError: More bytes are needed. This never delays a line that could be sent: further
            lines are needed only if those so far are not JSON by themselves, or if the input is a
            file.
    """
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    first, end, rest = text.partition(b"\n")
    if not end and not is_all:
        if len(text) <= HELD:
            raise NeedsMoreError
        # The line is too long for Lambda, but it may be an array to be read as one.
        return "array" if text.startswith(b"[") else None
    first, rest = first.strip(), rest.lstrip()
    if first.startswith(b"[") and (len(first) > HELD or is_json(first)):
        if is_json_file and end and not rest and not is_all:
            raise NeedsMoreError
        is_only_one = not rest and (not end or is_json_file)
        return "array" if is_only_one else None
    if end and first in (b"[", b"{"):
        return "array" if first == b"[" else "document"  # even if what follows is malformed
    if is_json_file and first.startswith(b"["):
        return "array"  # with a mistake in it, or over several lines
    found = _with_second_line(first, rest, is_all=is_all) if end and is_cut(first) else None
    return found or _without_json(text, is_all=is_all)


def _with_second_line(first: bytes, rest: bytes, *, is_all: bool) -> NotLines | None:
    """Detect it from the second line, if the first is only the beginning of JSON."""
    second, end, _ = rest.partition(b"\n")
    if not (end or is_all) and len(rest) <= HELD:
        raise NeedsMoreError
    both = first + b"\n" + second.strip()
    if not second.strip() or not (is_cut(both) or is_json(both)):
        return None
    return "array" if first.startswith(b"[") else "document"


def _without_json(text: bytes, *, is_all: bool) -> NotLines | None:
    """Detect it from the first lines together, if none of them is JSON."""
    lines = first_lines(text, is_all=is_all)
    if any(map(is_json, lines)):
        return None
    if len(lines) < LOOKED_AT and not is_all and len(text) <= HELD:
        raise NeedsMoreError
    return kind_of_text(lines) if len(lines) >= FEWEST else None


def first_lines(text: bytes, *, is_all: bool) -> list[bytes]:
    """Return the first non-empty lines; an incomplete last one only if this is the whole input."""
    # Only what ends within a number of bytes is looked at, so that the answer does not depend on
    # how much was read at once.
    lines = text[:HELD].split(b"\n")
    last = lines.pop()
    if is_all and len(text) <= HELD:
        lines.append(last)
    return [line for line in map(bytes.strip, lines) if line][:LOOKED_AT]


def kind_of_text(lines: list[bytes]) -> NotLines:
    """Return what lines that are not JSON look like; all rows of a table have as many fields."""
    if lines[0].startswith((b"{", b"[")):
        return "malformed"
    texts = [line.decode(errors="replace") for line in lines]
    if _are_rows(texts, ","):
        return "csv"
    if _are_rows(texts, "\t"):
        return "tsv"
    return "malformed" if any("\ufffd" in text for text in texts) else "text"


def _are_rows(texts: list[str], delimiter: str) -> bool:
    try:
        rows = list(csv.reader(texts, delimiter=delimiter))
    except csv.Error:
        return False
    # The last one may be cut within quotes.
    widths = {len(row) for row in rows[:-1] or rows}
    return len(widths) == 1 and widths != {1}


class NeedsMoreError(Exception):
    """More of the input is needed to detect its kind."""


def say_not_lines(kind: NotLines, name: str, head: bytes, *, suffix: str = "") -> str:
    """Return the message for an input that is not JSON lines; it quotes nothing of the input.

    Args:
        kind: What it is instead.
        name: The name of the input.
        head: Its first bytes.
        suffix: What the format to give ends in, such as `.gz`, if the compression was given too.
    """
    match kind:
        case "document":
            return f"{name} is JSON over several lines, not a line each: convert it with jq -c ."
        case "array":
            return (
                f"{name} is one JSON array, not a line each: --from json{suffix} "
                f"(format='json{suffix}') reads it so, an item for each element"
            )
        case "csv" | "tsv":
            return (
                f"{name} looks like {kind.upper()}, not JSON lines: "
                f"--from {kind}{suffix} (format='{kind}{suffix}') reads it"
            )
    cure = "; jq -R . makes JSON of lines of text" if kind == "text" else ""
    return f"{name} is not JSON lines: none of its first lines is JSON ({_why(head)}){cure}"


def _why(head: bytes) -> str:
    """Return what is wrong with the first line."""
    first = head.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")[0].strip()
    return f"the first: {str(_flaw(first)).removeprefix('not JSON: ')}"


def is_json(text: bytes) -> bool:
    """Return whether text is JSON."""
    return _flaw(text) is None


def is_cut(text: bytes) -> bool:
    """Return whether text is the beginning of a JSON array or object, cut between tokens."""
    flaw = _flaw(text) if text.startswith((b"{", b"[")) else None
    return flaw is not None and flaw.is_cut


def _flaw(text: bytes) -> NotJsonError | None:
    try:
        check_json(text)
    except NotJsonError as error:
        return error
    return None
