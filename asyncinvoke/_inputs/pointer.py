"""JSON pointers (RFC 6901): checked on start, and followed into a value without raising its text."""

from typing import Any

from asyncinvoke.errors import InvalidRequestError

MISSING = object()
"""What a pointer gives that leads nowhere."""


class Pointer:
    """A JSON pointer, such as `/id` or `/order/lines/0`; the empty one is the whole value.

    Args:
        text: The pointer as RFC 6901 spells it: `~1` is a slash, `~0` a tilde.

    Raises:
        InvalidRequestError: It is none; the message says why.
    """

    __slots__ = ("_tokens", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise InvalidRequestError(
                f"a JSON pointer must be a string such as '/id', not {type(text).__name__}"
            )
        if text and not text.startswith("/"):
            raise InvalidRequestError(
                f"{text!r} is no JSON pointer: one begins with a slash, as in {'/' + text!r}"
            )
        tokens = text.split("/")[1:]
        for token in tokens:
            if "~" in token.replace("~0", "").replace("~1", ""):
                raise InvalidRequestError(
                    f"{text!r} is no JSON pointer: a tilde is written ~0, and a slash ~1"
                )
        self.text: str = text
        self._tokens = [token.replace("~1", "/").replace("~0", "~") for token in tokens]

    def of(self, value: Any) -> Any:
        """Return what it points to in a value that JSON holds, or `MISSING`."""
        for token in self._tokens:
            if isinstance(value, dict):
                value = value.get(token, MISSING)
            elif isinstance(value, list) and _is_index(token) and int(token) < len(value):
                value = value[int(token)]
            else:
                return MISSING
            if value is MISSING:
                return MISSING
        return value

    def __repr__(self) -> str:
        return f"Pointer({self.text!r})"


def _is_index(token: str) -> bool:
    # Not "01", and no digits but ASCII's (RFC 6901, section 4); longer ones than any list has, no.
    is_number = token.isascii() and token.isdigit() and len(token) < 19
    return is_number and (len(token) == 1 or not token.startswith("0"))
