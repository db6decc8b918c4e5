"""Writes outcomes as Parquet, one row each, with fixed columns; uses pyarrow."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from asyncinvoke._inputs.formats import missing
from asyncinvoke._outputs.files import File

ROWS = 10_000
"""The maximum number of rows that are buffered, and written as one row group."""

BYTES = 32 << 20
"""The size of the lines after which a row group is written sooner, in bytes."""

_TEXTS = ("key", "error", "error_type", "code", "message", "delivery", "gave_up", "request_id")
COLUMNS = ("index", "key", "ok", "status_code", "request_id", "attempts", "take", "began", "elapsed",
           "took", "error", "error_type", "code", "message", "delivery", "gave_up", "payload",
           "payload_base64")  # fmt: skip
"""The columns; a payload is JSON text, or base64 if it is not JSON."""


def write(lines: Iterable[bytes], file: File) -> int:
    """Write outcomes, given as lines of JSON; return their number.

    Raises:
        ConfigurationError: pyarrow is not installed; the message has the pip command.
    """
    pa, pq = library()
    schema = _schema(pa)
    count = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(lines):
            columns = {name: [row.get(name) for row in group] for name in COLUMNS}
            writer.write_table(pa.Table.from_pydict(columns, schema=schema))
            count += len(group)
    return count


def _groups(lines: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for line in lines:
        group.append(_row(line))
        size += len(line)
        if len(group) == ROWS or size >= BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def library() -> tuple[Any, Any]:
    """Import and return pyarrow, and its module for Parquet.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise missing("Parquet", "pyarrow", "parquet") from None
    return pa, pq


def _schema(pa: Any) -> Any:
    kinds = {
        "index": pa.int64(),
        "ok": pa.bool_(),
        "status_code": pa.int32(),
        "attempts": pa.int32(),
        "take": pa.int32(),
        "elapsed": pa.float64(),
        "took": pa.float64(),
    }
    return pa.schema([(name, kinds.get(name, pa.large_string())) for name in COLUMNS])


_PAYLOAD = b', "payload": '


def _row(line: bytes) -> dict[str, Any]:
    # The payload is the last field. It is not parsed, so that no digit of it changes.
    head, found, payload = line.partition(_PAYLOAD)
    row: dict[str, Any] = json.loads(head + b"}" if found else line)
    if found:
        row["payload"] = payload.rstrip().removesuffix(b"}").decode("utf-8", "replace")
    row.setdefault("take", 1)
    for name in _TEXTS:
        text = row.get(name)
        if text is not None and not text.isascii():
            # A lone surrogate, which JSON allows and Parquet does not, is written as its escape.
            row[name] = text.encode("utf-8", "backslashreplace").decode()
    return row
