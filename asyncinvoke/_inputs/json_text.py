"""Validates JSON text and parses it without converting numbers, so that no digit changes."""

import json
from typing import Any, NoReturn


class NotJsonError(ValueError):
    """Text is not JSON; the message does not quote it."""

    def __init__(self, message: str, *, is_cut: bool = False) -> None:
        super().__init__(message)
        self.is_cut = is_cut
        """Whether it is the beginning of valid JSON."""


class Number(str):
    """A JSON number as it was written; JSON does not limit the number of digits, but Python does."""

    __slots__ = ()


def check_json(data: bytes) -> None:
    """Check that bytes are one JSON text in UTF-8.

    Raises:
        NotJsonError: They are not.
    """
    _decode(data, _CHECKER)


def parse_json(data: bytes) -> Any:
    """Return the value of one JSON text in UTF-8, its numbers as `Number`.

    Raises:
        NotJsonError: It is not JSON.
    """
    return _decode(data, _READER)


def dump_json(value: Any) -> str:
    """Return a value that was parsed by `parse_json` as JSON text."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        inner = (f"{_quote(name)}:{dump_json(each)}" for name, each in value.items())
        return f"{{{','.join(inner)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(dump_json, value))}]"
    return _quote(value) if isinstance(value, str) else _CONSTANTS[value]


def encode_text(text: str) -> bytes:
    """Encode JSON text as UTF-8; a lone surrogate becomes a JSON escape."""
    return text.encode("utf-8", "backslashreplace")


def _decode(data: bytes, decoder: json.JSONDecoder) -> Any:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise NotJsonError(f"not JSON: not UTF-8 at byte {error.start + 1}") from None
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        where = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}"
        raise NotJsonError(
            f"not JSON: {error.msg.removesuffix(' at')} at {where}", is_cut=error.pos == len(text)
        ) from None
    except RecursionError:
        raise NotJsonError("not JSON: nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise NotJsonError(f"not JSON: {constant} is not a JSON number")


_quote = json.JSONEncoder(ensure_ascii=False).encode
_CONSTANTS = {None: "null", True: "true", False: "false"}

# Numbers stay strings, since their values are not needed.
_CHECKER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse)
_READER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_refuse)
