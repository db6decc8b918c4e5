"""Parquet's intervals: found in the schema of a file, marked in the types of Arrow, and as ISO 8601."""

import struct
from collections.abc import Iterator
from typing import Any

# Imported only by files that know that pyarrow is installed.
import pyarrow as pa

# DuckDB writes intervals, and Arrow reads them as 12 bytes that look like any others; only the
# Parquet schema tells. So types that contain them are cast to types that contain `Interval` instead.


class Interval(pa.ExtensionType):  # type: ignore[misc]  # pyarrow has no types for mypy
    """An interval of Parquet: months, days and milliseconds as unsigned 32-bit integers."""

    def __init__(self) -> None:
        super().__init__(pa.binary(12), "asyncinvoke.interval")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: Any, serialized: bytes) -> "Interval":
        del storage_type, serialized
        return cls()


def with_intervals(kind: Any, are_intervals: Iterator[bool]) -> Any:
    """Return an Arrow type with `Interval` in place of the leaves that are intervals.

    Args:
        kind: The type of a column, as Arrow reads it.
        are_intervals: Whether each leaf of the Parquet schema is an interval, from the first leaf
            of this column on. The leaves of the column are consumed.

    Returns:
        The type; the same object if it contains no interval.
    """
    if isinstance(kind, pa.BaseExtensionType):
        with_intervals(kind.storage_type, are_intervals)
        return kind
    if not kind.num_fields:
        return Interval() if next(are_intervals, False) else kind
    fields = [kind.field(number) for number in range(kind.num_fields)]
    inner = [with_intervals(field.type, are_intervals) for field in fields]
    if all(new is field.type for new, field in zip(inner, fields, strict=True)):
        return kind
    changed = [field.with_type(new) for new, field in zip(inner, fields, strict=True)]
    if pa.types.is_struct(kind):
        return pa.struct(changed)
    if pa.types.is_map(kind):
        return pa.map_(inner[0].field(0).type, inner[0].field(1).type)
    return pa.list_(changed[0])


def as_iso(value: bytes) -> str:
    """Return a Parquet interval in ISO 8601: months, days and milliseconds are independent parts."""
    months, days, milliseconds = struct.unpack("<III", value)
    seconds = shortened(f"{milliseconds // 1000}.{milliseconds % 1000:03}")
    date = "".join(f"{number}{unit}" for number, unit in ((months, "M"), (days, "D")) if number)
    return f"P{date}T{seconds}S" if milliseconds or not date else f"P{date}"


def shortened(number: str) -> str:
    """Return a decimal number without zeros at the end of its fraction."""
    return number.rstrip("0").rstrip(".") if "." in number else number
