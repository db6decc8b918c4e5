"""Parquet columns as JSON texts: a whole column at once where possible, otherwise value by value."""

import base64
import datetime as dt
import decimal
import json
import math
import struct
from collections.abc import Callable
from typing import Any

_quote = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def rows_of(batch: Any, names: list[str]) -> list[bytes | None]:
    """Return the rows of a record batch as JSON; `None` for one that JSON cannot hold.

    Dates, times and timestamps become ISO 8601 (UTC where there is a time zone), decimals texts
    with every digit, bytes base64, durations seconds, maps objects, NaN null. What JSON cannot hold
    is an infinity, text that is not UTF-8, and a date that has no year to be written with.
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


def interval(value: bytes) -> str:
    """Return an interval of Parquet in ISO 8601: months, days and milliseconds that stand apart."""
    months, days, milliseconds = struct.unpack("<III", value)
    seconds = _shortened(f"{milliseconds // 1000}.{milliseconds % 1000:03}")
    date = "".join(f"{number}{unit}" for number, unit in ((months, "M"), (days, "D")) if number)
    return f"P{date}T{seconds}S" if milliseconds or not date else f"P{date}"


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
        texts = _dated(pa, pc, column)
        return pc.replace_substring(texts, " ", "T", max_replacements=1)
    if types.is_date(kind) or types.is_time(kind):
        return _dated(pa, pc, column)
    if types.is_duration(kind):
        return _texts_of_durations(pa, column)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return _texts_of_text(pa, pc, column)
    if types.is_decimal(kind):
        texts = column.cast(pa.large_string())
        if not pc.any(pc.match_substring(texts, "E")).as_py():  # without an exponent
            return _quoted(pa, pc, texts)
    if types.is_fixed_size_list(kind):
        column = column.cast(pa.list_(kind.value_type))
        kind = column.type
    if types.is_list(kind) or types.is_large_list(kind):
        return _texts_of_lists(pa, pc, column)
    if types.is_map(kind):
        return _texts_of_maps(pa, pc, column)
    if types.is_struct(kind) and 0 < kind.num_fields == len({field.name for field in kind}):
        return _texts_of_structs(pa, pc, column)
    return texts_one_by_one(pa, column)


def texts_one_by_one(pa: Any, column: Any) -> Any:
    """Return a column of JSON texts, made of its values as Python has them: for whatever is rare.

    Not for times and what holds them: Python's have neither all years nor nanoseconds.
    """
    values = column.to_pylist(maps_as_pydicts="lossy")
    return pa.array([_said(value, _plain) for value in values], pa.large_string())


def _dated(pa: Any, pc: Any, column: Any) -> Any:
    """Return dates and times as Arrow writes them: of one that it cannot write it says so instead."""
    texts = column.cast(pa.large_string())
    is_none = pc.coalesce(pc.starts_with(texts, "<"), False)
    return pc.if_else(is_none, None, _quoted(pa, pc, texts))


_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def _texts_of_durations(pa: Any, column: Any) -> Any:
    digits = _DIGITS[column.type.unit]
    said = (
        "null" if each is None else format(decimal.Decimal(each).scaleb(-digits, _EXACT), "f")
        for each in column.cast(pa.int64()).to_pylist()
    )
    return pa.array([_shortened(each) for each in said], pa.large_string())


_EXACT = decimal.Context(prec=30)


def _shortened(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number


def _texts_of_maps(pa: Any, pc: Any, column: Any) -> Any:
    """Return objects; of keys that are there twice the last one counts, as in most readers."""
    kind = column.type
    entries = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
    listed = column.cast(pa.list_(entries))
    both = listed.flatten().flatten()
    keys, values = (_texts(pa, pc, each).to_pylist() for each in both)
    said: list[str | None] = []
    end = 0
    for length in pc.list_value_length(listed).to_pylist():
        if length is None:
            said.append("null")
            continue
        begin, end = end, end + length
        found = dict(zip(keys[begin:end], values[begin:end], strict=True))
        said.append(_object(found))
    return pa.array(said, pa.large_string())


def _object(found: dict[str | None, str | None]) -> str | None:
    parts = []
    for key, value in found.items():
        if key is None or value is None:
            return None
        named = key if key.startswith('"') else _quote(key)
        parts.append(f"{named}:{value}")
    return f"{{{','.join(parts)}}}"


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
