"""Dictionaries in Parquet files: where they are, and how much may be decoded of them at once."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

_BYTES_OF_REFERENCE = 4
"""The maximum size of a reference to a text that a Parquet file holds once, in bytes."""


def repetitive_texts(metadata: Any) -> list[str]:
    """Return the names of columns of texts that are stored once each, however often they occur.

    A text of 20 KB that is the same in each row takes a few bytes a row in the file, and gigabytes as
    an array of texts.
    """
    columns = map(metadata.schema.column, range(len(metadata.schema)))
    return [
        column.name
        for number, column in enumerate(columns)
        if column.logical_type.type == "STRING"
        and column.path == column.name  # not within another column
        and _is_repetitive(metadata, number)
    ]


def _is_repetitive(metadata: Any, number: int) -> bool:
    left = metadata.num_rows * _BYTES_OF_REFERENCE
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(number)
        if not chunk.has_dictionary_page:
            return False
        left -= chunk.total_compressed_size - (
            chunk.data_page_offset - chunk.dictionary_page_offset
        )
        if left < 0:
            return False
    return True


def pieces(batch: Any, *, size: int) -> Iterator[Any]:
    """Yield the rows of a batch in pieces that refer to texts of about `size` bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sizes = None
    for column in batch.columns:
        kind = getattr(column.type, "value_type", None)  # of a dictionary
        if pa.types.is_dictionary(column.type) and kind in (pa.string(), pa.large_string()):
            lengths = pc.binary_length(column.dictionary).take(column.indices).cast(pa.int64())
            lengths = pc.fill_null(lengths, 0)
            sizes = lengths if sizes is None else pc.add(sizes, lengths)
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


def holds_dictionary(kind: Any) -> bool:
    """Return whether there is a dictionary within a type, such as a list of categories."""
    kind = getattr(kind, "storage_type", kind)
    within = [kind.field(number).type for number in range(kind.num_fields)]
    return any(hasattr(each, "index_type") or holds_dictionary(each) for each in within)
