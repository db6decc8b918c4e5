"""The rows of a Parquet file as JSON; the only file besides `_inputs/columns.py` that knows pyarrow."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from anyio import to_thread

from asyncinvoke._inputs import files
from asyncinvoke._inputs.columns import interval, rows_of
from asyncinvoke._inputs.formats import InputError, missing
from asyncinvoke._inputs.lines import Row

MOST_ROWS = 16_384
"""Most rows that are decoded at once."""

AT_ONCE = 8_388_608
"""About how many bytes are decoded at once."""

_UNSAYABLE = (
    "it holds what JSON cannot hold: an infinity, text that is not UTF-8, or a date too far away"
)


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
        repeated = next((each for each, count in Counter(names).items() if count > 1), None)
        if repeated is not None:
            raise InputError(f"{name}: the column {repeated[:40]!r} occurs twice")
        if not names:
            raise InputError(f"{name} has no columns")
        self._names = names
        self._intervals = _intervals(file.schema, names)
        self._batches = file.iter_batches(batch_size=self._batch_size(), use_threads=False)

    @classmethod
    def open(cls, source: str, options: Mapping[str, Any]) -> "Parquet":
        """Open a path or a URL. It takes a while, in which nothing else happens in this thread.

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
        file = files.open_file(source, options)
        try:
            return cls(pyarrow.parquet.ParquetFile(file, pre_buffer=False), file, name)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            file.close()
            raise InputError(
                f"{name} is not a Parquet file, or is damaged: {_first(error)}"
            ) from None
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
            rows = None if batch is None else rows_of(self._spelled(batch), self._names)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{self._name} is damaged: {_first(error)}") from None
        if rows is None:
            return None
        return [(None, b"", _UNSAYABLE) if row is None else (None, row, None) for row in rows]

    def _spelled(self, batch: Any) -> Any:
        """Return a batch whose intervals are texts."""
        import pyarrow as pa

        for number in self._intervals:
            values = batch.column(number).to_pylist()
            texts = pa.array([each and interval(each) for each in values], pa.string())
            batch = batch.set_column(number, self._names[number], texts)
        return batch

    def _close(self) -> None:
        self._batches = iter(())
        self._file.close()
        self._source.close()


def _intervals(schema: Any, names: list[str]) -> list[int]:
    """Return which columns are intervals, as DuckDB writes them: to Arrow they are but bytes."""
    leaves = map(schema.column, range(len(schema)))
    found = {leaf.path for leaf in leaves if leaf.converted_type == "INTERVAL"}
    return [number for number, name in enumerate(names) if name in found]


def _first(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
