"""Dictionaries in Parquet files: where they are, and how much may be decoded of them at once."""

from bisect import bisect_right
from collections.abc import Iterator
from functools import reduce
from typing import Any

_BYTES_OF_REFERENCE = 4
"""The maximum size of a reference to a text that a Parquet file holds once, in bytes."""

_READ_AS_DICTIONARIES = ("STRING", "NONE")
"""The logical types that Arrow can read so; it decodes JSON at once."""


def repetitive_texts(metadata: Any) -> list[str]:
    """Return the paths of columns of texts or bytes that are stored once each, however often they occur.

    A text of 20 KB that is the same in each row takes a few bytes a row in the file, and gigabytes as
    an array of texts. So does one within a list, a struct or a map.
    """
    columns = map(metadata.schema.column, range(len(metadata.schema)))
    return [
        column.path
        for number, column in enumerate(columns)
        if column.physical_type == "BYTE_ARRAY"
        and column.logical_type.type in _READ_AS_DICTIONARIES
        and _is_repetitive(metadata, number)
    ]


def _is_repetitive(metadata: Any, number: int) -> bool:
    left = metadata.num_rows * _BYTES_OF_REFERENCE
    for each in range(metadata.num_row_groups):
        group = metadata.row_group(each)
        chunk = group.column(number)
        if not chunk.has_dictionary_page:
            return False
        # A list has a reference for each of its elements.
        left += (chunk.num_values - group.num_rows) * _BYTES_OF_REFERENCE
        left -= chunk.total_compressed_size - (
            chunk.data_page_offset - chunk.dictionary_page_offset
        )
        if left < 0:
            return False
    return True


def pieces(batch: Any, *, size: int) -> Iterator[Any]:
    """Yield the rows of a batch in pieces that refer to texts of about `size` bytes."""
    import pyarrow.compute as pc

    sizes = None
    for column in batch.columns:
        if _is_dictionary(column.type) or holds_dictionary(column.type):
            referred = _referred_bytes(column)
            sizes = referred if sizes is None else pc.add(sizes, referred)
    if sizes is None:
        yield batch
        return
    ends = pc.cumulative_sum(sizes).to_pylist()
    first = 0
    while first < len(ends):
        before = ends[first - 1] if first else 0
        end = max(bisect_right(ends, before + size), first + 1)
        yield batch.slice(first, end - first)
        first = end


def _referred_bytes(column: Any) -> Any:
    """Return the bytes of the texts that each value of an array refers to, at any depth."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = getattr(column, "storage", column)
    if _is_dictionary(column.type):
        if column.type.value_type not in (pa.string(), pa.large_string(), pa.binary()):
            return _zeros(column)
        lengths = pc.binary_length(column.dictionary).take(column.indices).cast(pa.int64())
        return pc.fill_null(lengths, 0)
    if not holds_dictionary(column.type):
        return _zeros(column)
    if pa.types.is_struct(column.type):
        return reduce(pc.add, map(_referred_bytes, column.flatten()))
    if pa.types.is_map(column.type):
        totals = _running_totals(
            pc.add(_referred_bytes(column.keys), _referred_bytes(column.items))
        )
        begins, ends = column.offsets[:-1], column.offsets[1:]
    else:
        totals = _running_totals(_referred_bytes(column.flatten()))
        lengths = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int64())
        ends = pc.cumulative_sum(lengths)
        begins = pc.subtract(ends, lengths)
    return pc.subtract(totals.take(ends), totals.take(begins))


def _running_totals(sizes: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(sizes)])


def _zeros(column: Any) -> Any:
    import pyarrow as pa

    return pa.repeat(pa.scalar(0, pa.int64()), len(column))


def _is_dictionary(kind: Any) -> bool:
    return hasattr(kind, "index_type")


def holds_dictionary(kind: Any) -> bool:
    """Return whether there is a dictionary within a type, such as a list of categories."""
    kind = getattr(kind, "storage_type", kind)
    within = [kind.field(number).type for number in range(kind.num_fields)]
    return any(_is_dictionary(each) or holds_dictionary(each) for each in within)
