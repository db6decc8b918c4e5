"""How `map` reads an input before it sends anything."""

import contextlib
import gzip
import io
import json
import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._inputs.beginning import (
    FEWEST,
    LOOKED_AT,
    NeedsMoreError,
    first_lines,
    is_json,
    not_lines,
)
from asyncinvoke._inputs.files import BLOCK
from asyncinvoke._inputs.formats import FormatName
from asyncinvoke.inputs import Input, InputError, read

from .cutting import pieces_of

pytestmark = pytest.mark.anyio

ITEMS = [{"n": 1}, {"n": 2}, [3], {"n": {"m": 4}}]
LINES = "".join(json.dumps(item) + "\n" for item in ITEMS)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("in.jsonl", LINES)
    return buffer.getvalue()


OTHERS = {
    "UTF-16": (LINES.encode("utf-16"), "is UTF-16, not JSON"),
    "UTF-16, the other end first": (b"\xfe\xff" + LINES.encode("utf-16-be"), "is UTF-16, not JSON"),
    "UTF-16 without a mark": (LINES.encode("utf-16-le"), "is binary, or UTF-16 without a mark"),
    "UTF-32": (LINES.encode("utf-32"), "is UTF-32, not JSON"),
    "gzip": (gzip.compress(LINES.encode()), "is compressed (gzip)"),
    "zip": (zipped(), "is a zip archive"),
    "zstd": (b"\x28\xb5\x2f\xfd\x00", "is compressed (zstd)"),
    "an array on one line": (json.dumps(ITEMS).encode(), "is one JSON array, not a line each"),
    "an array, pretty-printed": (json.dumps(ITEMS, indent=2).encode(), "is one JSON array, not"),
    "an array, one item a line": (
        b"[" + b",\n".join(json.dumps(item).encode() for item in ITEMS) + b"]\n",
        "is one JSON array, not a line each",
    ),
    "an array behind a mark and blank lines": (
        b"\xef\xbb\xbf\r\n \n[\r\n1,\r\n2]\r\n",
        "is one JSON array, not a line each",
    ),
    "an array, and what is no JSON in it": (b'[\n  {"a": NaN},\n', "is one JSON array, not"),
    "an array of a line each, and what is no JSON": (b"[\n\t{]\n", "is one JSON array, not"),
    "an object, and what is no JSON in it": (b'{\n"a": NaN}\n', "is JSON over several lines"),
    "an object, pretty-printed": (
        json.dumps({"a": 1, "b": [2, 3]}, indent=2).encode(),
        "is JSON over several lines, not a line each",
    ),
    "several objects, pretty-printed": (
        b"".join(json.dumps(item, indent=2).encode() + b"\n" for item in ITEMS),
        "is JSON over several lines, not a line each",
    ),
    "an array that is too long for a line": (
        b"[" + b"1," * 4_000_000 + b"1]",
        "is one JSON array, not a line each",
    ),
    "CSV": (b"\xef\xbb\xbfid,name\r\n1,a\r\n\r\n2,b", "looks like CSV, not JSON lines: --from csv"),
    "CSV, cut within quotes": (b'id,name\n"1","a\nb"\n' * 9, "looks like CSV, not JSON lines"),
    "TSV": (b"id\tname\n1\ta, b\n2\tb\n", "looks like TSV, not JSON lines: --from tsv"),
    "text with carriage returns": (
        b"a\rb,c\n" * 9,
        (
            "is not JSON lines: none of its first lines is JSON (the first: Expecting value at "
            "column 1); jq -R . makes JSON of lines of text"
        ),
    ),
    "keys": (
        b"a.jpg\nb.jpg\nc d, e.jpg\n",
        (
            "is not JSON lines: none of its first lines is JSON (the first: Expecting value at "
            "column 1); jq -R . makes JSON of lines of text"
        ),
    ),
    "what Python prints": (
        b"{'a': 1, 'b': 2}\n" * 3,
        (
            "is not JSON lines: none of its first lines is JSON (the first: Expecting property name "
            "enclosed in double quotes at column 2)"
        ),
    ),
    "an Arrow file": (
        b"ARROW1\0\0\xff\xff\n" * 3,
        "is not JSON lines: none of its first lines is JSON (the first: not UTF-8 at byte 9)",
    ),
    "not JSON for long": (b"x,y\n" * 10 + b"1\n", "looks like CSV, not JSON lines"),
}


@contextlib.asynccontextmanager
async def piped(pieces: list[bytes]) -> AsyncIterator[Input]:
    """A pipe as input, into which each piece is written once the previous one has been read."""
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb", buffering=0) as file, contextlib.suppress(BrokenPipeError):
            for piece in pieces:
                file.write(piece)

    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, write)
        try:
            async with contextlib.aclosing(read(f"/dev/fd/{reader}")) as source:
                yield source
        finally:
            os.close(reader)


@pytest.mark.parametrize(("content", "message"), OTHERS.values(), ids=OTHERS)
async def test_an_input_that_is_not_json_lines_is_named_before_any_item(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError) as of_file:
        await read(path).begin()
    async with piped([content]) as source:
        with pytest.raises(InputError) as of_pipe:
            await source.begin()
    assert str(of_file.value).startswith(f"{path} {message}")
    assert ("jq -R" in str(of_file.value)) == ("jq -R" in message)
    assert str(of_pipe.value).startswith(f"{source.name} {message}")


@pytest.mark.parametrize("name", ["in.xlsx", "in.XLSX", "in.ods", "in.xls"])
@pytest.mark.parametrize("given", [None, "csv"])
async def test_a_spreadsheet_is_to_be_saved_as_csv(
    name: str, given: FormatName | None, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" if name == "in.xls" else zipped())
    with pytest.raises(InputError, match=r"is a spreadsheet, not .*: save it as CSV in UTF-8$"):
        await read(path, format=given).begin()


async def test_the_kind_is_detected_from_pieces_of_one_byte() -> None:
    async with piped([bytes([byte]) for byte in LINES.encode("utf-16")]) as source:
        with pytest.raises(InputError, match="is UTF-16"):
            await source.begin()


async def test_a_json_file_with_one_array_is_that_though_it_ends_like_a_line(
    tmp_path: Path,
) -> None:
    path = tmp_path / "in.json"
    path.write_text(json.dumps(ITEMS) + "\n", encoding="utf-8")
    assert [json.loads(item.payload) async for item in read(path)] == ITEMS


@pytest.mark.parametrize(
    "content", ["[1, 2,]", "[1, NaN]\n", "[NaN,\n1]\n", "[\n1\n2\n]"], ids=repr
)
async def test_a_mistake_in_the_array_of_a_json_file_is_one_error(
    content: str, tmp_path: Path
) -> None:
    path = tmp_path / "in.json"
    path.write_text(content, encoding="utf-8")
    where = r"line \d(, after \d elements?)?: "
    with pytest.raises(InputError, match=where + "(an element is not JSON|a comma is missing)"):
        async for _ in read(path):
            pass


async def test_a_json_file_with_an_array_a_line_is_lines(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text("[1]\n[2]\n[3]\n")
    assert [item.payload async for item in read(path)] == [b"[1]", b"[2]", b"[3]"]


GOOD = {
    "lines": LINES,
    "arrays, a line each": "[1]\n[2]\n",
    "one array, a line": "[1, 2]\n",
    "no line end at the end": "[1]\n[2]",
    "one object": '{"a": 1}',
    "a broken first line": '{"a": hunter2}\n{"b": 2}\n',
    "a first line that was cut": '{"a": 1,\n{"b": 2}\n',
    "a first text that was cut": '{"a": "b\n{"b": 2}\n',
    "nothing but a line that was cut": "[1,",
    "nothing": "",
    "blank lines": "\n \r\n",
    "a scalar": "1",
    "two lines that are no JSON": "id,n\na,1\n",
    "two broken lines first": 'x,y\n\n{"a": hunter2}\n{"b": 2}\n',
    "nine broken lines first": "x,y\n" * 9 + "1\n",
    "numbers below a header": "id\n1\n2\n3\n",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
async def test_lines_are_given_as_they_are(text: str, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(text, encoding="utf-8")
    expected = [line.strip().encode() for line in text.split("\n") if line.strip()]
    of_file = read(path)
    assert [item._data async for item in of_file] == expected
    assert await of_file.count() == len(expected)
    async with piped([text.encode()]) as source:
        await source.begin()
        assert [item._data async for item in source] == expected
        assert await source.count() is None


async def test_a_good_line_waits_for_no_other() -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"[1")
        os.write(writer, b",2]\n3")
        async with contextlib.aclosing(read(f"/dev/fd/{reader}").items()) as items:
            assert (await anext(items)).payload == b"[1,2]"
            os.write(writer, b"4\n5")
            assert (await anext(items)).payload == b"34"
            os.close(writer)
            assert (await anext(items)).payload == b"5"
            assert await anext(items, None) is None
    finally:
        os.close(reader)


async def test_a_good_line_below_broken_ones_waits_for_no_other() -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"x\ny\nz,z\n1\n")
        async with contextlib.aclosing(read(f"/dev/fd/{reader}").items()) as items:
            with anyio.fail_after(60):
                assert [(await anext(items))._data for _ in range(4)] == [b"x", b"y", b"z,z", b"1"]
    finally:
        os.close(reader)
        os.close(writer)


BROKEN = st.text("ab,\t'\\", min_size=1, max_size=4).map(str.encode) | st.sampled_from(
    [b"{'a': 1}", b'{"a": NaN}', b"[1]]"]
)


@given(
    lines=st.lists(BROKEN | st.sampled_from([b"", b" \r", b"1", b'{"a": 2}']), max_size=14),
    data=st.data(),
)
def test_a_refused_input_has_no_valid_line_among_the_first(
    lines: list[bytes], data: st.DataObject
) -> None:
    looked_at = [line for line in lines if line.strip()][:LOOKED_AT]
    has_json = any(map(is_json, looked_at))
    text = b"\n".join([*lines, b""])
    head, found = b"", None
    for piece in [*filter(None, pieces_of(data, text)), b""]:
        head += piece
        try:
            found = not_lines(head, is_all=not piece, is_json_file=False)
        except NeedsMoreError:
            # No item that could be sent is held back.
            assert not any(map(is_json, first_lines(head, is_all=False)))
            continue
        break
    assert found is None if has_json or len(looked_at) < FEWEST else found is not None


def test_what_is_cut_in_its_second_line_is_not_named_before_that_has_come() -> None:
    begun = b'{"a": [\n  1,'
    with pytest.raises(NeedsMoreError):
        not_lines(begun, is_all=False, is_json_file=False)
    assert not_lines(begun + b"\n", is_all=False, is_json_file=False) == "document"


async def test_a_line_longer_than_one_read_comes_whole(tmp_path: Path) -> None:
    long = b'"' + b"x" * (2 * BLOCK + 17) + b'"'
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"1\n\n" + long + b"\n2")
    items = [item async for item in read(path)]
    assert [(item.line, item.payload) for item in items] == [(1, b"1"), (3, long), (4, b"2")]


async def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for source, why in (
        (tmp_path / "none", "No such file or directory"),
        (tmp_path, "it is a directory"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(InputError) as caught:
            await read(source).begin()
        assert str(caught.value) == f"cannot read {source}: {why}"


async def test_reading_a_pipe_without_a_writer_can_be_cancelled() -> None:
    reader, writer = os.pipe()
    try:
        with anyio.move_on_after(0.01) as scope:
            await read(f"/dev/fd/{reader}").begin()
        assert scope.cancelled_caught
    finally:
        os.close(reader)
        os.close(writer)


async def test_a_named_pipe_without_a_writer_is_awaited_and_can_be_cancelled(
    tmp_path: Path,
) -> None:
    os.mkfifo(path := tmp_path / "in.jsonl")
    source = read(path)
    async with anyio.create_task_group() as group:
        group.start_soon(source.begin)
        # Opening it would stop the event loop, and this would never be reached.
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()

    async def write() -> None:
        writer = os.open(path, os.O_WRONLY)
        os.write(writer, LINES.encode())
        os.close(writer)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(source.begin)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(write)
        assert [json.loads(item.payload) async for item in source] == ITEMS


async def test_parquet_in_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "in.parquet")
    with pytest.raises(InputError, match="it is a pipe, and must be a file"):
        await read(path).begin()
