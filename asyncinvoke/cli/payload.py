"""The payload of `invoke`: from its argument, a file, or standard input."""

import codecs
import os
from pathlib import Path

from asyncinvoke._inputs import formats, json_text
from asyncinvoke._inputs.files import why_of
from asyncinvoke._inputs.lines import MOST
from asyncinvoke.cli import streams
from asyncinvoke.cli.errors import CommandError, one_line
from asyncinvoke.cli.habits import is_base64_of_json

_FILES = ("file://", "fileb://", "@")
"""The prefixes of file names: the first two are from the AWS CLI, the third is from curl."""

_LITERAL = "payload"
"""The name of a payload that is written on the command line."""

_MOST_READ = len(codecs.BOM_UTF8) + MOST + 1


def read_payload(payload: str) -> bytes:
    """Return the bytes of a payload, which must be JSON.

    Args:
        payload: JSON, `file://PATH`, `fileb://PATH`, `@PATH`, or `-` for standard input.

    Raises:
        CommandError: It cannot be read, is not JSON, or is too long.
    """
    name, data = _read(payload)
    said = formats.other_kind(data[: formats.HEAD], name, has_rows=False)
    if said is not None:
        raise CommandError(said)
    data = data.removeprefix(codecs.BOM_UTF8)
    if not data.strip():
        raise CommandError(f"{name}: it is empty, which is not JSON: omit it to send no payload")
    if len(data) > MOST:
        raise CommandError(f"{name}: Lambda accepts at most {MOST:,} bytes")
    try:
        json_text.check_json(data)
    except json_text.NotJsonError as error:
        raise CommandError(
            f"{name}: {error}{_hint(payload, data, is_literal=name == _LITERAL)}"
        ) from error
    return data


def _read(payload: str) -> tuple[str, bytes]:
    name = _LITERAL
    try:
        if payload in ("-", "@-"):  # `@PATH` is the notation of curl
            name = "payload from standard input"
            with open(streams.STDIN, "rb", closefd=False) as stdin:  # sys.stdin may be None
                return name, stdin.read(_MOST_READ)
        prefix = next((each for each in _FILES if payload.startswith(each)), None)
        if prefix is not None:
            name = f"payload in {payload}"
            with Path(payload.removeprefix(prefix)).expanduser().open("rb") as file:
                return name, file.read(_MOST_READ)
    except OSError as error:
        raise CommandError(f"cannot read {name}: {why_of(error)}") from error
    except (RuntimeError, ValueError) as error:  # ~nobody, or an invalid file name
        raise CommandError(f"cannot read {name}: {one_line(str(error))}") from error
    return name, os.fsencode(payload)


def _hint(payload: str, data: bytes, *, is_literal: bool) -> str:
    """Return a hint if the payload looks like something other than JSON."""
    if is_base64_of_json(data.strip()):
        return " (it is base64-encoded JSON: pass the JSON itself)"
    if not is_literal:
        return ""
    try:
        is_file = len(payload) < 4096 and Path(payload).is_file()
    except (OSError, ValueError):
        is_file = False
    if is_file:
        return (
            f" (a file of that name exists: --payload file://{payload} sends it, -o writes to it)"
        )
    if payload.endswith(".json"):
        return (
            " (it looks like a file name: @FILE sends a file, -o FILE writes the response to one)"
        )
    return ""
