"""JSON as the command line takes it: checked to be JSON, and sent as its own bytes."""

import json
from typing import NoReturn

from asyncinvoke import InvalidRequestError
from asyncinvoke.cli.lines import MOST, Line


class NotJsonError(ValueError):
    """Text that is not JSON; the message quotes nothing of it."""

    def __init__(self, message: str, *, is_cut: bool = False) -> None:
        super().__init__(message)
        self.is_cut = is_cut
        """Whether it is right as far as it goes, and more should follow."""


def encode_line(line: Line) -> bytes:
    """Return the bytes to send for a line.

    Raises:
        InvalidRequestError: It is not JSON, or too long; the message names the line.
    """
    if line.is_too_long:
        raise InvalidRequestError(
            f"line {line.number}: {line.size:,} bytes are too many: Lambda takes at most {MOST:,}"
        )
    try:
        check_json(line.data)
    except NotJsonError as error:
        why = f"line {line.number}: {error}"
    else:
        return line.data
    raise InvalidRequestError(why)


def check_json(data: bytes) -> None:
    """Check that bytes are one JSON text in UTF-8.

    Raises:
        NotJsonError: They are not.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise NotJsonError(f"not JSON: not UTF-8 at byte {error.start + 1}") from None
    try:
        _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}"
        raise NotJsonError(
            f"not JSON: {error.msg.removesuffix(' at')} at {where}", is_cut=error.pos == len(text)
        ) from None
    except RecursionError:
        raise NotJsonError("not JSON: nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise NotJsonError(f"not JSON: {constant} is not a JSON number")


# Numbers stay text: they are only looked at, and Python's integers have a limit that JSON's lack.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse)
