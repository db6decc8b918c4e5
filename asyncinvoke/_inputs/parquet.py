"""The rows of a Parquet file as JSON, read in batches by pyarrow."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from anyio import to_thread

from asyncinvoke._inputs import files
from asyncinvoke._inputs.dictionaries import holds_dictionary, pieces, repetitive_texts
from asyncinvoke._inputs.formats import InputError, missing
from asyncinvoke._inputs.lines import Row
from asyncinvoke._inputs.seekable import Watched, open_file

MOST_ROWS = 16_384
"""The maximum number of rows that are decoded at once."""

AT_ONCE = 8_388_608
"""The approximate number of bytes that are decoded at once."""

_NOT_JSON = (
    "it holds what JSON cannot hold: an infinity, text that is not UTF-8, or a date too far away"
)


class Parquet:
    """The rows of an open Parquet file.

    Args:
        file: The `ParquetFile` of pyarrow.
        source: The file that it reads, which is closed with it.
        name: The name of the input in messages.
    """

    # A few thousand rows at a time are decoded and converted to JSON in a worker thread, mostly
    # without the GIL. Memory is that of one batch, whatever the size of the file.

    def __init__(self, file: Any, source: Watched, name: str) -> None:
        self._file = file
        self._source = source
        self._name = name
        self.total: int | None = file.metadata.num_rows
        names = file.schema_arrow.names
        repeated = _repeated(list(file.schema_arrow))
        if repeated is not None:
            raise InputError(f"{name}: {repeated}")
        if not names:
            raise InputError(f"{name} has no columns")
        self._names = names
        self._marked = _marked_types(file.schema, file.schema_arrow)
        self._batches = self._all_batches()

    @classmethod
    def open(cls, source: str, options: Mapping[str, Any], *, size: int | None = None) -> "Parquet":
        """Open a path or a URL. This blocks.

        Args:
            source: The path or URL.
            options: The options of the file system.
            size: The number of bytes that the file must have, if that is known.

        Raises:
            ConfigurationError: pyarrow is not installed.
            InputError: It cannot be read, or is not a Parquet file.
        """
        name = files.name_of(source)
        try:
            import pyarrow.parquet
        except ImportError:
            raise missing("Parquet", "pyarrow", "parquet") from None
        if source == "-":
            raise InputError("Parquet cannot be read from standard input: its index is at its end")
        file = Watched(open_file(source, options, size=size))
        try:
            found = pyarrow.parquet.ParquetFile(file, pre_buffer=False)
            repetitive = repetitive_texts(found.metadata)
            if repetitive:
                found = pyarrow.parquet.ParquetFile(
                    file, metadata=found.metadata, read_dictionary=repetitive, pre_buffer=False
                )
            return cls(found, file, name)
        except BaseException as error:  # each file system has its own
            file.close()
            if isinstance(error, InputError) or not isinstance(error, Exception):
                raise
            what = f"{name} is not a Parquet file, or is damaged"
            raise _why_failed(error, file, name, what) from None

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

    def _all_batches(self) -> Iterator[Any]:
        size = self._batch_size()  # once, as it looks at all row groups
        for groups in self._readings():
            rows = sum(self._file.metadata.row_group(number).num_rows for number in groups)
            missing = rows
            for batch in self._file.iter_batches(size, row_groups=groups, use_threads=False):
                missing -= batch.num_rows
                yield from pieces(batch, size=AT_ONCE)
            if missing:
                # Arrow does so with some lists, without an error.
                raise InputError(
                    f"{self._name} cannot be read: pyarrow leaves out {missing} of {rows} rows"
                )

    def _readings(self) -> Iterator[list[int]]:
        """Return the numbers of the row groups that are read together: small ones, if possible."""
        # Each row group has dictionaries of its own, and Arrow cannot join those of inner columns.
        is_split = any(holds_dictionary(field.type) for field in self._file.schema_arrow)
        groups: list[int] = []
        rows = 0
        for number in range(self._file.num_row_groups):
            groups.append(number)
            rows += self._file.metadata.row_group(number).num_rows
            if is_split or rows >= MOST_ROWS:
                yield groups
                groups, rows = [], 0
        if groups:
            yield groups

    def _batch_size(self) -> int:
        metadata = self._file.metadata
        size = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
        a_row = size / max(metadata.num_rows, 1)
        return max(1, min(MOST_ROWS, int(AT_ONCE / max(a_row, 1))))

    def _next(self) -> list[Row] | None:
        from asyncinvoke._inputs.columns import rows_of

        try:
            batch = next(self._batches, None)
            if batch is None:
                return None
            for number, kind in self._marked.items():
                column = batch.column(number).cast(kind)
                batch = batch.set_column(number, self._names[number], column)
            rows = rows_of(batch, self._names)
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001  # each file system has its own
            what = f"{self._name} is damaged"
            raise _why_failed(error, self._source, self._name, what) from None
        return [(None, b"", _NOT_JSON) if row is None else (None, row, None) for row in rows]

    def _close(self) -> None:
        self._batches = iter(())
        self._file.close()
        self._source.close()


def _repeated(fields: list[Any], kind: str = "column") -> str | None:
    """Return which name occurs twice among columns, or among the fields of one; JSON needs one each."""
    counts = Counter(field.name for field in fields)
    for name, count in counts.items():
        if count > 1:
            return f"the {kind} {name[:40]!r} occurs twice"
    for field in fields:
        inner = getattr(field.type, "storage_type", field.type)
        within = [inner.field(number) for number in range(inner.num_fields)]
        found = _repeated(within, "field")
        if found is not None:
            return found
    return None


def _marked_types(schema: Any, arrow_schema: Any) -> dict[int, Any]:
    """Return the types of the columns with values that Arrow reads as bytes, by column number.

    Args:
        schema: The schema of the Parquet file.
        arrow_schema: The Arrow schema that pyarrow derives from it.
    """
    from asyncinvoke._inputs.extension_types import MARKS, with_marks

    columns = map(schema.column, range(len(schema)))
    # An interval is none of pyarrow's logical types, and a UUID no converted type.
    leaves = [
        each.converted_type if each.converted_type in MARKS else each.logical_type.type
        for each in columns
    ]
    if MARKS.keys().isdisjoint(leaves):
        return {}
    left = iter(leaves)
    kinds = arrow_schema.types
    found = [with_marks(kind, left) for kind in kinds]
    return {
        number: new
        for number, (new, kind) in enumerate(zip(found, kinds, strict=True))
        if new is not kind
    }


def _why_failed(error: Exception, source: Watched, name: str, what: str) -> Exception:
    """Return the error to raise for one that occurred while a file was read.

    Args:
        error: The error.
        source: The file.
        name: The name of the file in messages.
        what: What has happened if the file itself has been read without an error.
    """
    import pyarrow as pa

    if source.error is not None:
        return files.cannot_read(name, source.error)
    if isinstance(error, pa.ArrowNotImplementedError):
        return InputError(f"{name} cannot be read: {_first(error)}")
    if isinstance(error, pa.ArrowException | OSError | ValueError):
        return InputError(f"{what}: {_first(error)}")
    return error


def _first(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
