"""Lines of JSON, read lazily: each is checked to be JSON and sent as its own bytes."""

import codecs
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from anyio import to_thread

from asyncinvoke.cli import streams
from asyncinvoke.cli.errors import FAILED, CommandError

_COUNTED_AT_ONCE = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the input that is not empty."""

    number: int
    """Its number in the input, from 1."""

    data: bytes = field(repr=False)
    """Its bytes, without the line's end."""


class NotJsonError(ValueError):
    """Text that is not JSON; the message quotes nothing of it."""


async def read_lines(descriptor: int, name: str) -> AsyncGenerator[Line, None]:
    """Read lines as they are asked for.

    Raises:
        CommandError: The input cannot be read any further.
    """
    number = 0
    rest = b""
    while True:
        try:
            chunk = await streams.read(descriptor)
        except OSError as error:
            raise CommandError(f"cannot read {name}: {error.strerror}", status=FAILED) from error
        *ended, rest = (rest + chunk).split(b"\n") if chunk else (rest, b"")
        for text in ended:
            number += 1
            data = (text.removeprefix(codecs.BOM_UTF8) if number == 1 else text).strip()
            if data:
                yield Line(number=number, data=data)
        if not chunk:
            return


async def count_lines(path: Path) -> int:
    """Count the lines that `read_lines` would give."""
    total = 0
    with path.open("rb") as file:
        while lines := await to_thread.run_sync(file.readlines, _COUNTED_AT_ONCE):
            total += sum(not line.isspace() for line in lines)
    return total


def encode_line(line: Line) -> bytes:
    """Return the bytes to send for a line.

    Raises:
        NotJsonError: It is not JSON; the message names the line.
    """
    try:
        check_json(line.data)
    except NotJsonError as error:
        raise NotJsonError(f"line {line.number}: {error}") from None
    return line.data


def check_json(data: bytes) -> None:
    """Check that bytes are one JSON text in UTF-8.

    Raises:
        NotJsonError: They are not.
    """
    try:
        _DECODER.decode(data.decode())
    except UnicodeDecodeError as error:
        raise NotJsonError(f"not JSON: not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        where = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}"
        raise NotJsonError(f"not JSON: {error.msg.removesuffix(' at')} at {where}") from None
    except RecursionError:
        raise NotJsonError("not JSON: nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise NotJsonError(f"not JSON: {constant} is not a JSON number")


# Numbers stay text: they are only looked at, and Python's integers have a limit that JSON's lack.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse)
