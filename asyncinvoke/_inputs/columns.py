"""Parquet columns as JSON texts: a whole column at once where possible, otherwise value by value."""

import base64
import datetime as dt
import decimal
import json
import math
from collections.abc import Callable
from typing import Any

_quote = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def rows_of(batch: Any, names: list[str]) -> list[bytes | None]:
    """Return the rows of a record batch as JSON; `None` for one that JSON cannot hold.

    Dates, times and timestamps become ISO 8601 (UTC where there is a time zone), decimals texts
    with every digit, bytes base64, durations seconds, maps objects, NaN null. What JSON cannot hold
    is an infinity, and text that is not UTF-8.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    # Values as Python objects, and back to text, take four times as long as this.
    parts: list[Any] = []
    for number, (name, column) in enumerate(zip(names, batch.columns, strict=True)):
        parts += [("," if number else "{") + _quote(name) + ":", _texts(pa, pc, column)]
    joined = _joined(pa, pc, *parts, "}")
    rows: list[bytes | None] = joined.cast(pa.large_binary()).to_pylist()
    return rows


def texts_of(column: Any) -> Any:
    """Return an array of Arrow's as JSON texts; null where there can be none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return _texts(pa, pc, column)


def _texts(pa: Any, pc: Any, column: Any) -> Any:
    """Return a column of JSON texts; null where there can be none."""
    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if types.is_integer(kind) or types.is_boolean(kind):
        return pc.coalesce(column.cast(pa.large_string()), "null")
    if types.is_float32(kind) or types.is_float64(kind):
        texts = pc.coalesce(
            pc.if_else(pc.is_nan(column), None, column).cast(pa.large_string()), "null"
        )
        return pc.if_else(pc.coalesce(pc.is_inf(column), False), None, texts)
    if types.is_timestamp(kind):
        if kind.tz is not None:
            column = column.cast(pa.timestamp(kind.unit, "UTC"))
        texts = column.cast(pa.large_string())
        return _quoted(pa, pc, pc.replace_substring(texts, " ", "T", max_replacements=1))
    if types.is_date(kind) or types.is_time(kind):
        return _quoted(pa, pc, column.cast(pa.large_string()))
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return _texts_of_text(pa, pc, column)
    if types.is_decimal(kind):
        texts = column.cast(pa.large_string())
        if not pc.any(pc.match_substring(texts, "E")).as_py():  # without an exponent
            return _quoted(pa, pc, texts)
    if types.is_list(kind) or types.is_large_list(kind):
        return _texts_of_lists(pa, pc, column)
    if types.is_struct(kind) and 0 < kind.num_fields == len({field.name for field in kind}):
        return _texts_of_structs(pa, pc, column)
    return texts_one_by_one(pa, column)


def texts_one_by_one(pa: Any, column: Any) -> Any:
    """Return a column of JSON texts, made of its values as Python has them: for whatever is rare."""
    values = column.to_pylist(maps_as_pydicts="lossy")
    return pa.array([_said(value, _plain) for value in values], pa.large_string())


def _texts_of_lists(pa: Any, pc: Any, column: Any) -> Any:
    lengths = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    elements = pa.ListArray.from_arrays(offsets, _texts(pa, pc, column.flatten()))
    joined = pc.binary_join(elements, pa.scalar(",", pa.large_string()))
    texts = _joined(pa, pc, "[", joined, "]")
    return pc.if_else(pc.is_valid(column), texts, "null")


def _texts_of_structs(pa: Any, pc: Any, column: Any) -> Any:
    parts: list[Any] = []
    for number, (field, values) in enumerate(zip(column.type, column.flatten(), strict=True)):
        parts += [("," if number else "{") + _quote(field.name) + ":", _texts(pa, pc, values)]
    return pc.if_else(pc.is_valid(column), _joined(pa, pc, *parts, "}"), "null")


def _texts_of_text(pa: Any, pc: Any, column: Any) -> Any:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        raw = column.cast(pa.large_binary()).to_pylist()
        said = [_said(value, _decoded) for value in raw]
        return pa.array(said, pa.large_string())
    column = column.cast(pa.large_string())
    if pc.any(pc.match_substring_regex(column, r"[\x00-\x1f]")).as_py():
        return pa.array(map(_quote, column.to_pylist()), pa.large_string())
    escaped = pc.replace_substring(pc.replace_substring(column, "\\", "\\\\"), '"', '\\"')
    return _quoted(pa, pc, escaped)


def _quoted(pa: Any, pc: Any, texts: Any) -> Any:
    return pc.coalesce(_joined(pa, pc, '"', texts, '"'), "null")


def _joined(pa: Any, pc: Any, *parts: Any) -> Any:
    """Join columns and constants row by row; null where one of them is."""
    large = [
        pa.scalar(part, pa.large_string()) if isinstance(part, str) else part for part in parts
    ]
    nothing = pa.scalar("", pa.large_string())
    return pc.binary_join_element_wise(*large, nothing, null_handling="emit_null")


def _said(value: Any, plain: Callable[[Any], Any]) -> str | None:
    try:
        return _quote(plain(value))
    except (ValueError, TypeError, RecursionError):
        return None


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _plain(value: Any) -> Any:
    """Return a value of Arrow's as JSON holds it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return None if math.isnan(value) else value
        case dict():
            return {_name(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case bytes():
            return base64.b64encode(value).decode()
        case decimal.Decimal():
            return format(value, "f")
        case dt.datetime():
            if value.tzinfo is not None:
                return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
            return value.isoformat()
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
    return str(value)


def _name(name: Any) -> str:
    plain = _plain(name)
    return plain if isinstance(plain, str) else str(plain)
