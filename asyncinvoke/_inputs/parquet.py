"""The rows of a Parquet file as JSON, whole columns at once where that can be; knows pyarrow."""

import base64
import datetime as dt
import decimal
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from anyio import to_thread

from asyncinvoke._inputs import files
from asyncinvoke._inputs.formats import InputError, missing
from asyncinvoke._inputs.lines import Row

MOST_ROWS = 16_384
"""Most rows that are decoded at once."""

AT_ONCE = 8_388_608
"""About how many bytes are decoded at once."""

_UNSAYABLE = "it holds what JSON cannot hold: an infinity, or text that is not UTF-8"


class Parquet:
    """The rows of an open Parquet file.

    Args:
        file: pyarrow's `ParquetFile`.
        source: What is to be closed with it.
        name: What it is called.
    """

    # Some thousand rows at a time are decoded and made into JSON in a worker thread, most of it
    # without Python's lock; memory is that of one batch, however long the file is.

    def __init__(self, file: Any, source: Any, name: str) -> None:
        self._file = file
        self._source = source
        self._name = name
        self.total: int | None = file.metadata.num_rows
        names = file.schema_arrow.names
        repeated = [each for each in names if names.count(each) > 1]
        if repeated:
            raise InputError(f"{name}: the column {repeated[0][:40]!r} is there twice")
        if not names:
            raise InputError(f"{name} has no columns")
        self._names = names
        self._batches = file.iter_batches(batch_size=self._batch_size(), use_threads=False)

    @classmethod
    def open(cls, source: str, options: Mapping[str, Any]) -> "Parquet":
        """Open a path or a URL. It takes a while, in which nothing else happens in this thread.

        Raises:
            ConfigurationError: pyarrow is not installed.
            InputError: It cannot be read, or is no Parquet file.
        """
        name = files.name_of(source)
        try:
            import pyarrow.parquet
        except ImportError:
            raise missing("Parquet", "pyarrow", "parquet") from None
        if source == "-":
            raise InputError("Parquet cannot be read from standard input: its index is at its end")
        file = files.open_file(source, options)
        try:
            return cls(pyarrow.parquet.ParquetFile(file, pre_buffer=False), file, name)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            file.close()
            raise InputError(f"{name} is no Parquet file, or is damaged: {_first(error)}") from None
        except BaseException:
            file.close()
            raise

    async def rows(self) -> Iterator[Row] | None:
        """Return the next rows, or `None` at the end.

        Raises:
            InputError: The file is damaged.
        """
        rows = await to_thread.run_sync(self._next)
        return None if rows is None else iter(rows)

    async def close(self) -> None:
        """Close the file."""
        await to_thread.run_sync(self._close)

    def _batch_size(self) -> int:
        metadata = self._file.metadata
        size = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
        a_row = size / max(metadata.num_rows, 1)
        return max(1, min(MOST_ROWS, int(AT_ONCE / max(a_row, 1))))

    def _next(self) -> list[Row] | None:
        import pyarrow as pa

        try:
            batch = next(self._batches, None)
            rows = None if batch is None else rows_of(batch, self._names)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{self._name} is damaged: {_first(error)}") from None
        if rows is None:
            return None
        return [(None, b"", _UNSAYABLE) if row is None else (None, row, None) for row in rows]

    def _close(self) -> None:
        self._batches = iter(())
        self._file.close()
        self._source.close()


def _first(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


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
    values = column.to_pylist(maps_as_pydicts="lossy")
    return pa.array([_said(value, _plain) for value in values], pa.large_string())


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
