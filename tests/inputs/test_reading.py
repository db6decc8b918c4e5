"""Reading as users do: formats by suffix or option, in a map, with missing extras and secrets."""

import contextlib
import csv
import gzip
import http.server
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
import tracemalloc
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import fsspec
import pyarrow.csv
import pyarrow.parquet
import pytest
import zstandard

from asyncinvoke import InvalidRequestError, Invoker
from asyncinvoke._inputs.files import name_of
from asyncinvoke._inputs.formats import InputFormat, format_of
from asyncinvoke.inputs import Input, InputError, read
from asyncinvoke.testing import FakeLambda

pytestmark = pytest.mark.anyio

BY_NAME = {
    "in.jsonl": ("jsonl", None),
    "IN.NDJSON.GZ": ("jsonl", "gz"),
    "in.json.zst": ("jsonl", "zst"),
    "in.csv": ("csv", None),
    "in.csv.zst": ("csv", "zst"),
    "in.tsv.gz": ("tsv", "gz"),
    "in.parquet": ("parquet", None),
    "in": ("jsonl", None),
    "in.gz": ("jsonl", "gz"),
    "in.txt": ("jsonl", None),
    "-": ("jsonl", None),
    "s3://bucket": ("listing", None),
    "s3://bucket/prefix/": ("listing", None),
    "s3://bucket/in.csv": ("csv", None),
    "s3://bucket/x/manifest.json": ("inventory", None),
    "https://host/in.csv.gz": ("csv", "gz"),
    "https://host/in.csv.gz?X-Amz-Signature=a/b.c": ("csv", "gz"),
    "http://host/in.TSV#top": ("tsv", None),
    "s3://bucket/in?.csv": ("csv", None),
    "s3://bucket/a::b.tsv": ("tsv", None),
    "zip://in.csv::https://host/a.zip?b": ("csv", None),
    "simplecache::https://host/in.parquet?a": ("parquet", None),
    "simplecache::zip://in.tsv::s3://bucket/a.zip": ("tsv", None),
    "a::b/in.csv": ("csv", None),
}


FILES: dict[str, Callable[[Path], object]] = {
    "in.jsonl": lambda path: path.write_bytes(b"1\n2\n"),
    "in.json": lambda path: path.write_bytes(b"[1, 2]"),
    "in.csv.gz": lambda path: path.write_bytes(gzip.compress(b"id\na\nb\n")),
    "in.parquet": lambda path: pyarrow.parquet.write_table(pyarrow.table({"id": [1, 2]}), path),
}


@pytest.mark.parametrize("source", BY_NAME)
def test_a_format_is_detected_by_the_suffix(source: str) -> None:
    found = format_of(source, None)
    assert (found.name, found.compression) == BY_NAME[source]


def test_an_explicit_format_overrides_the_suffix_but_not_its_compression() -> None:
    assert format_of("https://host/in.gz?a", "csv") == InputFormat("csv", "gz", is_given=True)
    assert format_of("in.txt.gz", "csv") == InputFormat("csv", "gz", is_given=True)
    assert format_of("-", "csv.zst") == InputFormat("csv", "zst", is_given=True)
    assert format_of("in.csv", "json") == InputFormat("json", None, is_given=True)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown format": ({"source": "in", "format": "xlsx"}, "format 'xlsx' must be one of jsonl"),
    "no text": ({"source": "in", "format": 1}, "format 1 must be one of"),
    "packed Parquet": ({"source": "in", "format": "parquet.gz"}, "format 'parquet.gz' must be"),
    "a listing of files": ({"source": "in/", "format": "listing"}, "is of a prefix in S3"),
    "a prefix as CSV": ({"source": "s3://b/p/", "format": "csv"}, "is read as a listing"),
    "nothing": ({"source": ""}, "source must be a path"),
    "bytes": ({"source": b"in"}, "source must be a path"),
    "None": ({"source": None}, "source must be a path"),
    "a key": ({"source": "in", "key": "id"}, "'id' is not a JSON pointer"),
    "a template": ({"source": "in", "payload_template": "{}"}, "has no placeholder"),
    "a template as an object": (
        {"source": "in", "payload_template": {"id": "{/id}"}},
        "a payload template must be JSON in a string, not dict",
    ),
    "options": ({"source": "in", "storage_options": 5}, "storage_options must be a mapping"),
}


@pytest.mark.parametrize(("arguments", "why"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_refused_before_anything_is_opened(
    arguments: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(**arguments)
    assert why in str(caught.value)


async def test_ndjson_is_another_name_of_json_lines(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b'{"n": 1}\n2\n')
    source = read(tmp_path / "in", format="ndjson")
    assert [item.payload async for item in source] == [b'{"n": 1}', b"2"]


async def test_a_map_takes_an_input_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "n"], ["a", "1"], ["b"], ["c", "x\ny"]])
    async with Invoker(transport=FakeLambda({"f": lambda event, context: event})) as invoker:
        source = read(path, key="/id", payload_template='{"got": "{/n}"}')
        async with invoker.map("f", source, ordered=True) as run:
            outcomes = [outcome async for outcome in run]
    assert [(outcome.key, outcome.ok) for outcome in outcomes] == [
        ("a", True),
        (None, False),
        ("c", True),
    ]
    assert str(outcomes[1].error) == "line 3: 1 field, and the header names 2"
    assert outcomes[1].attempts == ()
    assert outcomes[2].unwrap().json() == {"got": "x\ny"}


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("in.csv", gzip.compress(b"id\na\n", mtime=0), "is compressed"),
        ("in.txt", b"id,n\na,1\nb,2\n", "looks like CSV, not JSON lines: --from csv"),
    ],
)
async def test_an_input_that_is_something_else_ends_a_map_before_anything_is_sent(
    name: str, data: bytes, says: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    fake = FakeLambda({"f": lambda event, context: event})
    async with Invoker(transport=fake) as invoker:
        with pytest.raises(InputError, match=says):
            async with invoker.map("f", read(tmp_path / name)) as run:
                await anext(run)
    assert not fake.requests


async def test_counting_takes_no_item_from_a_file_that_is_standard_input(tmp_path: Path) -> None:
    path, items = tmp_path / "in.jsonl", 300_000  # more than is read before the first item
    path.write_bytes(b"1234567\n" * items)
    kept = os.dup(0)
    try:
        with path.open("rb") as file:
            os.dup2(file.fileno(), 0)
        source = read("-")
        await source.begin()
        assert source.status is not None
        assert await source.count() is None
        assert len([item async for item in source]) == items
    finally:
        os.dup2(kept, 0)
        os.close(kept)


async def _begin(source: Input) -> None:
    await source.begin()
    await source.aclose()


async def _count(source: Input) -> None:
    await source.begin()
    await source.count()
    await source.aclose()


async def _read(source: Input) -> None:
    async for _ in source:
        pass


async def _leave(source: Input) -> None:
    async with contextlib.aclosing(source.items()) as items:
        await anext(items)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks through /proc")
@pytest.mark.parametrize("use", [_begin, _count, _read, _leave])
@pytest.mark.parametrize("name", [*FILES, "folder", "no.csv", "no.json", "no.jsonl.gz"])
async def test_no_use_of_an_input_leaves_its_file_open(
    use: Callable[[Input], Awaitable[None]], name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif name in FILES:
        FILES[name](path)
    else:
        path.write_bytes(b"1,")
    with contextlib.nullcontext() if name in FILES else contextlib.suppress(InputError):
        await use(read(path))
    links = [Path("/proc/self/fd", each) for each in os.listdir("/proc/self/fd")]
    assert str(path) not in {os.readlink(each) for each in links if each.is_symlink()}


@pytest.mark.parametrize("kind", ["gzip", "zstd", "parquet"])
@pytest.mark.parametrize("name", ["in.jsonl", "in.csv", "in.tsv"])
async def test_a_file_under_another_name_is_read_as_the_message_says(
    name: str, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    text = b'{"id":"a"}\n' if name == "in.jsonl" else b"id\na\n"
    match kind:
        case "gzip":
            path.write_bytes(gzip.compress(text))
        case "zstd":
            path.write_bytes(zstandard.compress(text))
        case _:
            pyarrow.parquet.write_table(pyarrow.table({"id": ["a"]}), path)
    with pytest.raises(InputError) as raised:
        await read(path).begin()
    message = re.fullmatch(r".*; --from (\S+) \(format='(\S+)'\) reads it", str(raised.value))
    assert message is not None
    assert message[1] == message[2]
    assert [item.payload async for item in read(path, message[1])] == [b'{"id":"a"}']


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize(
    ("name", "text"),
    [("in.json", b'[{"id":"a"}]'), ("in.jsonl", b'[{"id":"a"}]'), ("in", b"id,n\na,1\nb,2\n")],
)
async def test_each_message_leads_one_step_nearer_to_the_format(
    name: str, text: bytes, compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(compress(text))
    wanted = None
    for _ in range(2):  # first that it is compressed, then its content
        with pytest.raises(InputError) as raised:
            await read(path, wanted).begin()
        message = re.search(r"--from (\S+) \(format='(\S+)'\) reads it", str(raised.value))
        assert message is not None
        assert message[1] == message[2]
        wanted = message[1]
    payloads = [item.payload async for item in read(path, wanted)]
    assert json.loads(payloads[0])["id"] == "a"


async def test_an_input_may_be_read_twice_and_left_half_way(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl.zst"
    path.write_bytes(zstandard.compress(b"1\n2\n3\n"))
    source = read(path)
    fake = FakeLambda({"f": lambda event, context: event})
    async with Invoker(transport=fake) as invoker, invoker.map("f", source) as run:
        await anext(run)
    for _ in range(2):
        assert [item.payload async for item in source] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("name", ["in.jsonl", "in.jsonl.gz", "in.parquet"])
async def test_an_input_may_be_read_by_several_at_the_same_time(name: str, tmp_path: Path) -> None:
    rows = [{"n": n} for n in range(3_000)]
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    if name == "in.parquet":
        table = pyarrow.Table.from_pylist(rows)
        pyarrow.parquet.write_table(table, tmp_path / name, row_group_size=500)
    else:
        (tmp_path / name).write_bytes(gzip.compress(lines) if name.endswith("gz") else lines)
    source = read(tmp_path / name)
    found: list[int] = []

    async def begin() -> None:
        await source.begin()

    async def read_all() -> None:
        found.append(len([item async for item in source]))

    async with anyio.create_task_group() as group:
        for work in (begin, read_all, begin, read_all, read_all):
            group.start_soon(work)
    await source.begin()
    async with contextlib.aclosing(source.items()) as items:
        await anext(items)
        await source.begin()
        await read_all()
        found.append(1 + len([item async for item in items]))
    assert found == [len(rows)] * 5


@pytest.mark.parametrize("name", ["in.jsonl.gz", "in.csv.zst"])
async def test_a_small_file_that_breaks_off_is_refused_before_anything_is_given(
    name: str, tmp_path: Path
) -> None:
    text = b"id\n" + b"".join(b'{"n": %d}\n' % n for n in range(100))
    packed = gzip.compress(text) if name.endswith("gz") else zstandard.compress(text)
    (tmp_path / name).write_bytes(packed[:-9])
    with pytest.raises(InputError, match="is truncated"):
        await anext(aiter(read(tmp_path / name)))


@pytest.mark.skipif(sys.platform != "linux", reason="it has a file that cannot be read")
async def test_a_local_file_that_fails_while_it_is_read_is_one_error_that_names_it() -> None:
    with pytest.raises(InputError, match=r"^cannot read /proc/self/mem: Input/output error$"):
        await read("/proc/self/mem").begin()


async def test_any_url_of_fsspec_is_read() -> None:
    with fsspec.open("memory://inputs/in.csv.gz", "wb") as file:
        file.write(gzip.compress(b"id\na\n"))
    assert [item.payload async for item in read("memory://inputs/in.csv.gz")] == [b'{"id":"a"}']
    with pytest.raises(InputError, match=r"cannot read memory://inputs/none: No such file"):
        await read("memory://inputs/none").begin()
    with pytest.raises(InputError, match=r"cannot read nix://x: fsspec knows no nix://"):
        await read("nix://x").begin()


class EncodedFileHandler(http.server.BaseHTTPRequestHandler):
    """Serves `/n/in.jsonl.gz`: a file compressed n times, with the encoding named by the query."""

    def do_HEAD(self) -> None:
        path, _, encoding = self.path.partition("?")
        self.body = b'{"id":"a"}\n'
        for _ in range(int(path[1])):
            self.body = gzip.compress(self.body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def encoded() -> Iterator[str]:
    """The URL of a server of `EncodedFileHandler`."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), EncodedFileHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "path",
    ["0/in.jsonl", "1/in.jsonl?gzip", "1/in.jsonl.gz", "1/in.jsonl.gz?gzip", "2/in.jsonl.gz?gzip"],
)
async def test_a_compressed_file_is_read_whatever_encoding_its_server_names(
    encoded: str, path: str
) -> None:
    assert [item.payload async for item in read(f"{encoded}/{path}")] == [b'{"id":"a"}']


async def test_a_file_that_is_not_compressed_is_refused_if_its_server_names_no_encoding(
    encoded: str,
) -> None:
    with pytest.raises(InputError, match=r"in\.jsonl\.gz is not compressed with gzip"):
        await read(f"{encoded}/0/in.jsonl.gz").begin()


@pytest.mark.parametrize("kind", ["zip", "tar"])
async def test_a_file_within_an_archive_is_read(kind: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id\na\n")
    pyarrow.parquet.write_table(pyarrow.table({"id": ["a"]}), tmp_path / "in.parquet")
    archive = tmp_path / "all"
    with zipfile.ZipFile(archive, "w") if kind == "zip" else tarfile.open(archive, "w") as file:
        add = file.write if isinstance(file, zipfile.ZipFile) else file.add
        for name in ("in.csv", "in.parquet"):
            add(tmp_path / name, name)
    for name in ("in.csv", "in.parquet"):
        source = read(f"{kind}://{name}::file://{archive}")
        assert [item.payload async for item in source] == [b'{"id":"a"}']


async def test_no_message_shows_what_is_secret_in_a_url_or_its_options() -> None:
    source = read(
        "https://user:hunter2@127.0.0.1:1/in.csv?X-Amz-Signature=hunter2",
        storage_options={"client_kwargs": {"headers": {"Authorization": "hunter2"}}},
    )
    with pytest.raises(InputError) as caught:
        await source.begin()
    assert "hunter2" not in f"{caught.value} {source!r} {caught.value!r}"
    assert str(caught.value).startswith("cannot read https://127.0.0.1:1/in.csv: ")


@pytest.mark.parametrize("inner", ["https://user:hunter2@127.0.0.1:1/x?Signature=hunter2"])
@pytest.mark.parametrize("outer", ["simplecache::", "zip://in.csv::", "gzip://a::simplecache::"])
def test_a_url_in_a_url_is_named_without_what_is_secret_too(outer: str, inner: str) -> None:
    assert name_of(outer + inner) == f"{outer}https://127.0.0.1:1/x"


@pytest.mark.parametrize(
    "source",
    [
        "https://127.0.0.1:1/in.csv?Signature=hunter2::hunter2",
        "https://127.0.0.1:1/in::y.csv?Signature=hunter2",
        "https://user:hunter2::hunter2@127.0.0.1:1/in.csv",
        "zip://in.csv::https://user:hunter2::hunter2@127.0.0.1:1/a.zip",
        "https://user:hunter2@[127.0.0.1/in.csv",
        "https://user:hunter2@127.0.0.1]:1/in.csv?Signature=hunter2",
    ],
)
def test_colons_and_brackets_within_what_is_secret_do_not_show_it(source: str) -> None:
    assert "hunter2" not in name_of(source)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    path = tmp_path / "in.csv.gz"
    row = b"order-%07d," + b"x" * 10_000 + b"\n"
    path.write_bytes(gzip.compress(b"id,text\n" + b"".join(row % n for n in range(4_000)), 1))
    tracemalloc.start()
    try:
        total = 0
        async for item in read(path):
            total += len(item.payload)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total > 40_000_000
    assert peak < 10_000_000


LACKING = {
    "fsspec": ("memory://x/in.csv", "memory:// needs fsspec", "inputs"),
    "zstandard": ("in.csv.zst", "zstd needs zstandard", "inputs"),
    "pyarrow": ("in.parquet", "Parquet needs pyarrow", "parquet"),
    "s3fs": ("s3://b/in.csv", "s3:// needs s3fs", "s3"),
}
PROGRAM = """
import sys
for name in {names}: sys.modules[name] = None
import anyio, json
from asyncinvoke.inputs import read
async def main():
    found = []
    for source in {sources}:
        try:
            found.append([item.payload.decode() async for item in read(source)])
        except Exception as error:
            found.append(f"{{type(error).__name__}}: {{error}}")
    print(json.dumps(found))
anyio.run(main)
"""


def test_without_extras_text_is_read_and_what_is_missing_is_one_line_with_its_pip_command(
    tmp_path: Path,
) -> None:
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress(b"id\na\n"))
    (tmp_path / "in.csv.zst").write_bytes(zstandard.compress(b"id\na\n"))
    (tmp_path / "in.json").write_text("[1,\n2]")
    sources = ["in.csv.gz", "in.json", *(source for source, *_ in LACKING.values())]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(names=list(LACKING), sources=sources)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    text, array, *missing = json.loads(done.stdout)
    assert (text, array) == (['{"id":"a"}'], ["1", "2"])
    assert missing == [
        f"ConfigurationError: {message}, which is not installed: pip install 'asyncinvoke[{extra}]'"
        for _, message, extra in LACKING.values()
    ]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_hundred_thousand_rows_of_other_tools_are_those_that_were_written(
    tmp_path: Path,
) -> None:
    texts = [f'text "{n}", ä\n' for n in range(100_000)]
    table = pyarrow.table({"id": [str(n) for n in range(100_000)], "text": texts})
    pyarrow.csv.write_csv(table, tmp_path / "in.csv")
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    for name in ("in.csv", "in.parquet"):
        items = [item async for item in read(tmp_path / name, key="/id")]
        assert len(items) == 100_000
        for n, item in enumerate(items[::999]):
            row = {"id": str(n * 999), "text": texts[n * 999]}
            assert (item.key, json.loads(item.payload)) == (row["id"], row)
