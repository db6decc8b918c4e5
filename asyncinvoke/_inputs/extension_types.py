"""Types of Parquet that Arrow reads as bytes: intervals, UUIDs and JSON, marked in its own types."""

import struct
from collections.abc import Iterator
from typing import Any

# Imported only by files that know that pyarrow is installed.
import pyarrow as pa

# Arrow reads intervals, which DuckDB writes, as 12 bytes that look like any others. pyarrow before 21
# reads UUIDs as bytes, too, and pyarrow 17 JSON. Only the Parquet schema tells. So types that contain
# them are cast to types that contain one of these instead.


class Marked(pa.ExtensionType):  # type: ignore[misc]  # pyarrow has no types for mypy
    """A type of Parquet that Arrow does not know."""

    size: int
    """Its number of bytes; -1 if that differs from value to value."""

    def __init__(self) -> None:
        super().__init__(pa.binary(self.size), f"asyncinvoke.{type(self).__name__.lower()}")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: Any, serialized: bytes) -> "Marked":
        del storage_type, serialized
        return cls()


class Interval(Marked):
    """An interval: months, days and milliseconds as unsigned 32-bit integers."""

    size = 12


class Uuid(Marked):
    """A UUID."""

    size = 16


class Json(Marked):
    """JSON as a text."""

    size = -1


MARKS: dict[str, type[Marked]] = {"INTERVAL": Interval, "UUID": Uuid, "JSON": Json}
"""The types by their names in Parquet's schema."""


def with_marks(kind: Any, leaves: Iterator[str]) -> Any:
    """Return an Arrow type with a `Marked` type in place of the leaves that are one.

    Args:
        kind: The type of a column, as Arrow reads it.
        leaves: What the Parquet schema calls each leaf, from the first leaf of this column on. The
            leaves of the column are consumed.

    Returns:
        The type; the same object if it contains none of them.
    """
    if isinstance(kind, pa.BaseExtensionType):
        with_marks(kind.storage_type, leaves)
        return kind
    if not kind.num_fields:
        mark = MARKS.get(next(leaves, ""))
        return mark() if mark is not None and kind == pa.binary(mark.size) else kind
    fields = [kind.field(number) for number in range(kind.num_fields)]
    inner = [with_marks(field.type, leaves) for field in fields]
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


def as_uuid(value: bytes) -> str:
    """Return 16 bytes as the text of a UUID (RFC 9562)."""
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def shortened(number: str) -> str:
    """Return a decimal number without zeros at the end of its fraction."""
    return number.rstrip("0").rstrip(".") if "." in number else number


def is_uuid(kind: Any) -> bool:
    """Return whether a type is that of UUIDs: ours, or Arrow's own."""
    return isinstance(kind, Uuid) or getattr(kind, "extension_name", None) == "arrow.uuid"
