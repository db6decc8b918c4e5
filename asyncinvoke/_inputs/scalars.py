"""Values of Arrow as JSON texts by way of Python objects, one by one: for types that are rare."""

import base64
import datetime as dt
import decimal
import json
import math
from collections.abc import Callable
from typing import Any

# Imported only by files that know that pyarrow is installed.
import pyarrow as pa

quote = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def texts_one_by_one(column: Any) -> Any:
    """Return an Arrow array as JSON texts, converted by way of Python objects: for rare types only.

    Not for times or types that contain them: Python's lack nanoseconds and some years.
    """
    return pa.array([encoded(value, _plain) for value in column.to_pylist()], pa.large_string())


def encoded(value: Any, plain: Callable[[Any], Any]) -> str | None:
    """Return a value as JSON text; `None` if JSON cannot represent it.

    Args:
        value: The value.
        plain: Converts it to a type that JSON has.
    """
    try:
        return quote(plain(value))
    except (ValueError, TypeError, RecursionError):
        return None


def _plain(value: Any) -> Any:
    """Return a value as a type that JSON has."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return None if math.isnan(value) else value
        case dict():
            return {_name(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
    return _scalar(value)


def _scalar(value: Any) -> str | float:
    """Return a value of a type that JSON lacks as a string or a number."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case decimal.Decimal():
            return format(value, "f")
        case dt.datetime() if value.tzinfo is not None:
            return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
    return str(value)


def _name(name: Any) -> str:
    plain = _plain(name)
    return plain if isinstance(plain, str) else str(plain)
