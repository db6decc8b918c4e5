"""Arrow columns as JSON texts: a whole column at once where possible, otherwise value by value."""

import base64
import decimal
import itertools
import json
from collections.abc import Callable
from typing import Any

# Imported only by `_inputs/parquet.py`, and only once it knows that pyarrow is installed.
import pyarrow as pa
import pyarrow.compute as pc

from asyncinvoke._inputs.extension_types import (
    Interval,
    Json,
    Marked,
    as_iso,
    as_uuid,
    is_uuid,
    shortened,
)

_types = pa.types
_quote = json.JSONEncoder(ensure_ascii=False).encode


def rows_of(batch: Any, names: list[str]) -> list[bytes | None]:
    """Return the rows of a record batch as JSON objects; `None` for a row that JSON cannot represent.

    Dates, times and timestamps become ISO 8601 (UTC if there is a time zone), decimals strings with
    all digits, bytes base64, durations seconds, intervals ISO 8601, UUIDs and JSON strings, maps
    objects, and NaN null. JSON cannot represent an infinity, text that is not UTF-8, or a date
    without a year that Arrow can write.
    """
    # Converting to Python objects, and those to JSON, takes four times as long as this.
    parts: list[Any] = []
    for number, (name, column) in enumerate(zip(names, batch.columns, strict=True)):
        parts += [("," if number else "{") + _quote(name) + ":", texts_of(column)]
    joined = _joined(*parts, "}")
    rows: list[bytes | None] = joined.cast(pa.large_binary()).to_pylist()
    return rows


def texts_of(column: Any) -> Any:
    """Return an Arrow array as JSON texts; null for a value that JSON cannot represent."""
    column = _unwrapped(column)
    for is_kind, convert in _CONVERTERS:
        if is_kind(column.type):
            return convert(column)
    return _texts_of_bytes(column)


def _unwrapped(column: Any) -> Any:
    """Return an array of a type that stands for another one as an array of that type."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, Marked):
        if kind.extension_name == "arrow.bool8":
            column = column.storage.cast(pa.bool_())
        elif kind.extension_name != "arrow.uuid":
            column = column.storage
        kind = column.type
    if _types.is_dictionary(kind):
        column = column.dictionary_decode()
    return column


# Numbers.


def _texts_of_integers(column: Any) -> Any:
    return pc.coalesce(column.cast(pa.large_string()), "null")


def _texts_of_floats(column: Any) -> Any:
    if _types.is_float16(column.type):
        column = column.cast(pa.float32())
    numbers = pc.if_else(pc.is_nan(column), None, column)
    texts = pc.coalesce(numbers.cast(pa.large_string()), "null")
    return pc.if_else(pc.coalesce(pc.is_inf(column), False), None, texts)


def _texts_of_decimals(column: Any) -> Any:
    texts = column.cast(pa.large_string())
    if pc.any(pc.match_substring(texts, "E")).as_py():  # Arrow has written an exponent
        return _texts_one_by_one(column, "{:f}".format)
    return _quoted(texts)


# Times.


def _texts_of_timestamps(column: Any) -> Any:
    kind = column.type
    if kind.tz is not None:
        column = column.cast(pa.timestamp(kind.unit, "UTC"))
    return pc.replace_substring(_texts_of_dates(column), " ", "T", max_replacements=1)


def _texts_of_dates(column: Any) -> Any:
    texts = column.cast(pa.large_string())
    # What Arrow writes for a value out of its range begins with "<".
    is_out_of_range = pc.coalesce(pc.starts_with(texts, "<"), False)
    return pc.if_else(is_out_of_range, None, _quoted(texts))


_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_EXACT = decimal.Context(prec=30)


def _texts_of_durations(column: Any) -> Any:
    digits = _DIGITS[column.type.unit]
    texts = (
        "null" if each is None else format(decimal.Decimal(each).scaleb(-digits, _EXACT), "f")
        for each in column.cast(pa.int64()).to_pylist()
    )
    return pa.array([shortened(each) for each in texts], pa.large_string())


def _texts_of_intervals(column: Any) -> Any:
    return _texts_one_by_one(column.storage, as_iso)


# Bytes, and those that Parquet marks as something else.


def _texts_of_bytes(column: Any) -> Any:
    return _texts_one_by_one(column, lambda value: base64.b64encode(value).decode())


def _texts_of_uuids(column: Any) -> Any:
    return _texts_one_by_one(column.storage, as_uuid)


def _texts_of_json(column: Any) -> Any:
    return _texts_of_strings(column.storage.view(pa.string()))


# Types that contain others.


def _texts_of_maps(column: Any) -> Any:
    """Return objects; the last value of a repeated key wins, as in most JSON parsers."""
    # Not by a cast to a list: that loses entries whose values are maps of nulls.
    ends = column.offsets.to_pylist()
    first = ends[0]
    keys, values = (
        texts_of(each.slice(first, ends[-1] - first)).to_pylist()
        for each in (column.keys, column.items)
    )
    texts: list[str | None] = []
    are_valid = column.is_valid().to_pylist()
    for is_valid, (begin, end) in zip(are_valid, itertools.pairwise(ends), strict=True):
        if not is_valid:
            texts.append("null")
            continue
        entries = slice(begin - first, end - first)
        texts.append(_object(dict(zip(keys[entries], values[entries], strict=True))))
    return pa.array(texts, pa.large_string())


def _object(members: dict[str | None, str | None]) -> str | None:
    parts = []
    for key, value in members.items():
        if key is None or value is None:
            return None
        name = key if key.startswith('"') else _quote(key)
        parts.append(f"{name}:{value}")
    return f"{{{','.join(parts)}}}"


def _texts_of_lists(column: Any) -> Any:
    # Also of views and of a fixed size: Arrow's cast of a view to a list takes the wrong elements.
    lengths = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    elements = pa.ListArray.from_arrays(offsets, texts_of(column.flatten()))
    joined = pc.binary_join(elements, pa.scalar(",", pa.large_string()))
    return pc.if_else(pc.is_valid(column), _joined("[", joined, "]"), "null")


def _texts_of_structs(column: Any) -> Any:
    parts: list[Any] = []
    for number, (field, values) in enumerate(zip(column.type, column.flatten(), strict=True)):
        parts += [("," if number else "{") + _quote(field.name) + ":", texts_of(values)]
    return pc.if_else(pc.is_valid(column), _joined(*parts, "}"), "null")


# Text.


def _texts_of_strings(column: Any) -> Any:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return _texts_one_by_one(column.cast(pa.large_binary()), bytes.decode)
    column = column.cast(pa.large_string())
    if pc.any(pc.match_substring_regex(column, r"[\x00-\x1f]")).as_py():
        return _texts_one_by_one(column, str)
    escaped = pc.replace_substring(pc.replace_substring(column, "\\", "\\\\"), '"', '\\"')
    return _quoted(escaped)


def _texts_one_by_one(column: Any, text_of: Callable[[Any], str]) -> Any:
    """Convert values as Python objects; null for one that `text_of` does not accept."""
    texts: list[str | None] = []
    for value in column.to_pylist():
        try:
            texts.append("null" if value is None else _quote(text_of(value)))
        except (ValueError, TypeError):
            texts.append(None)
    return pa.array(texts, pa.large_string())


def _quoted(texts: Any) -> Any:
    return pc.coalesce(_joined('"', texts, '"'), "null")


def _joined(*parts: Any) -> Any:
    """Join columns and constants row by row; null if one of them is."""
    large = [
        pa.scalar(part, pa.large_string()) if isinstance(part, str) else part for part in parts
    ]
    separator = pa.scalar("", pa.large_string())
    return pc.binary_join_element_wise(*large, separator, null_handling="emit_null")


_LISTS = (
    _types.is_list,
    _types.is_large_list,
    _types.is_fixed_size_list,
    _types.is_list_view,
    _types.is_large_list_view,
)
# The first one that applies converts a column.
_CONVERTERS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (lambda kind: _types.is_integer(kind) or _types.is_boolean(kind), _texts_of_integers),
    (_types.is_floating, _texts_of_floats),
    (_types.is_timestamp, _texts_of_timestamps),
    (lambda kind: _types.is_date(kind) or _types.is_time(kind), _texts_of_dates),
    (_types.is_duration, _texts_of_durations),
    (lambda kind: isinstance(kind, Interval), _texts_of_intervals),
    (is_uuid, _texts_of_uuids),
    (lambda kind: isinstance(kind, Json), _texts_of_json),
    (lambda kind: _types.is_string(kind) or _types.is_large_string(kind), _texts_of_strings),
    (_types.is_string_view, _texts_of_strings),
    (_types.is_decimal, _texts_of_decimals),
    (lambda kind: any(is_list(kind) for is_list in _LISTS), _texts_of_lists),
    (_types.is_map, _texts_of_maps),
    (_types.is_struct, _texts_of_structs),
)
