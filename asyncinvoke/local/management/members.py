"""The members of a request's body, each read as the type that the service's model gives it."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from asyncinvoke.local.protocol import refusals

_T = TypeVar("_T")


class Members:
    """What the body of a request says. A member that is null is one that is not there.

    Every method raises `Refusal` for a member of another type; what it held is not repeated.

    Args:
        values: The members.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @classmethod
    def parse(cls, body: bytes) -> "Members":
        """Read a body.

        Raises:
            Refusal: It is not a JSON object.
        """
        try:
            values = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise refusals.unreadable("the body is not a JSON object")
        return cls(values)

    def text(self, name: str) -> str | None:
        """Return a text."""
        value = self._get(name, str, "a text")
        # JSON can spell a lone surrogate; nothing could be answered that repeats it.
        if value is not None and not _is_encodable(value):
            raise refusals.unreadable(f"{name}: it must be a text of whole characters")
        return value

    def integer(self, name: str) -> int | None:
        """Return a whole number."""
        return self._get(name, int, "a whole number")

    def flag(self, name: str) -> bool:
        """Return whether something is wanted; not, if nothing is said."""
        return self._get(name, bool, "true or false") or False

    def members(self, name: str) -> "Members":
        """Return an object; an empty one if there is none."""
        return Members(self._get(name, dict, "an object") or {})

    def texts(self, name: str) -> dict[str, str] | None:
        """Return an object that holds nothing but texts."""
        values = self._get(name, dict, "an object")
        return values and {str(key): Members(values).text(key) or "" for key in values}

    def any(self, name: str) -> Any:
        """Return whatever JSON holds under a name."""
        return self._values.get(name)

    def __bool__(self) -> bool:
        return bool(self._values)

    def _get(self, name: str, kind: type[_T], what: str) -> _T | None:
        value = self._values.get(name)
        # What JSON gives is of exactly its type; `isinstance` would take true for a number.
        if value is not None and type(value) is not kind:
            raise refusals.unreadable(f"{name}: it must be {what}")
        return value


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
