"""Inputs of arbitrary bytes give rows, or one error of this library, wherever they are cut."""

import contextlib
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import anyio
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncinvoke import InvalidRequestError
from asyncinvoke._inputs.compression import Gzip, Zstd
from asyncinvoke._inputs.files import Blocks, Unpacked
from asyncinvoke._inputs.formats import FormatName, InputFormat
from asyncinvoke._inputs.item import Item, ItemSpec
from asyncinvoke._inputs.text import Text
from asyncinvoke.inputs import InputError, read

from .cutting import pieces_of

TEXTS = st.binary(max_size=60) | st.text('{}[]",:\n\r\t 01ae\\u\ufeff\0\u2028;', max_size=60).map(
    str.encode
)
PACKED: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gz": gzip.compress,
    "zst": zstandard.compress,
}


class PreparedBlocks:
    """An input of prepared blocks."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(piece for piece in pieces if piece)

    async def read(self) -> bytes:
        return next(self._pieces, b"")

    async def close(self) -> None:
        pass


async def rows_of(pieces: list[bytes], kind: FormatName, packed: str | None) -> list[str] | str:
    """Return the rows of an input, or their errors; or the error of the input."""
    blocks: Blocks = PreparedBlocks(pieces)
    if packed == "gz":
        blocks = Unpacked(blocks, Gzip("in"))
    elif packed == "zst":
        blocks = Unpacked(blocks, Zstd("in"))
    text = Text(blocks, "in", InputFormat(kind))
    spec = ItemSpec(None, None, is_json=kind != "jsonl")
    found = []
    try:
        while (rows := await text.rows()) is not None:
            for position, row in enumerate(rows):
                try:
                    payload = Item(position, *row, spec).payload
                except InvalidRequestError as error:
                    found.append(str(error).partition(":")[0])
                else:
                    json.loads(payload)
                    found.append(payload.decode())
    except InputError as error:
        return str(error)
    return found


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv"])
@settings(derandomize=True)
@given(text=TEXTS, packed=st.sampled_from([None, "gz", "zst"]), data=st.data())
def test_any_bytes_give_rows_or_one_error_and_the_same_wherever_they_are_cut(
    kind: FormatName, text: bytes, packed: str | None, data: st.DataObject
) -> None:
    packed_text = PACKED[packed](text)
    whole = anyio.run(rows_of, [packed_text], kind, packed)
    assert anyio.run(rows_of, pieces_of(data, packed_text), kind, packed) == whole


def a_parquet_file() -> bytes:
    sink = io.BytesIO()
    table = pa.table({"id": [f"order-{n}" for n in range(50)], "n": list(range(50))})
    pq.write_table(table, sink, compression="none")
    return sink.getvalue()


PARQUET = a_parquet_file()


# Deterministic changes, because other libraries' behaviour on wrong bytes should not surprise
# later.
@settings(derandomize=True, max_examples=60)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(PARQUET) - 1), st.integers(0, 255)), min_size=1, max_size=4
    )
)
@example(changes=[(4, 255), (5, 255)])
def test_a_parquet_file_with_wrong_bytes_gives_rows_or_one_error(
    changes: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(PARQUET)
    for at, value in changes:
        data[at] = value
    path = tmp_path_factory.getbasetemp() / "changed.parquet"
    Path(path).write_bytes(data)

    async def work() -> None:
        with contextlib.suppress(InputError):
            async for item in read(path):
                with contextlib.suppress(InvalidRequestError):
                    json.loads(item.payload)

    anyio.run(work)
