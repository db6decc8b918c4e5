"""`map --output` of formats that are written at once: when the run is complete or, without a
journal, ends."""

import gzip
import json
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest
import zstandard

from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.map.settings import Bulk
from asyncinvoke.cli.map.whole_output import run_with_output
from asyncinvoke.local import LocalLambda
from tests.cli.processes import Run

pytestmark = pytest.mark.anyio


async def test_it_is_there_once_the_run_is_complete_and_anew_with_each_command(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("id\na\nb\nc\n")
    target = tmp_path / "out.parquet"
    command = ("map", "echo", "in.csv", "--key", "/id", "-o", "out.parquet")
    recorded = (*command, "--journal", "in.run", "--endpoint-url", endpoint.url)
    ended = await run(*recorded, "--head", "2")
    assert (ended.status, ended.out) == (0, "")
    assert ended.err.endswith("out.parquet: 2 outcomes\n")
    assert (await run(*recorded)).status == 0
    rows = pq.read_table(target).to_pylist()
    assert [(row["key"], json.loads(row["payload"])) for row in rows] == [
        (key, {"got": {"id": key}}) for key in "abc"
    ]
    assert endpoint.statistics().invocations == 3


async def test_a_stopped_run_has_no_output_yet_and_existing_files_are_refused_first(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("1\n2\n3\n")
    where = ("--endpoint-url", endpoint.url)
    command = ("map", "fail", "in.jsonl", "-j", "in.run", "-o", "out.jsonl.gz", "-c", "1", *where)
    ended = await run(*command, "--tolerate", "0")
    assert ended.status == 3
    assert not (tmp_path / "out.jsonl.gz").exists()
    (tmp_path / "other.jsonl.gz").touch()
    before = endpoint.statistics().invocations
    ended = await run(*(word.replace("out.", "other.") for word in command))
    assert (ended.status, endpoint.statistics().invocations) == (2, before)
    assert "output other.jsonl.gz exists: --force replaces it" in ended.err
    ended = await run(*command)
    assert ended.status == 1
    lines = gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()).splitlines()
    assert [json.loads(line)["index"] for line in lines] == [0, 1, 2]


async def test_without_a_journal_it_has_what_has_ended_however_the_run_does(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("1\n2\n3\n")
    where = ("--endpoint-url", endpoint.url)
    ended = await run("map", "echo", "in.jsonl", "-o", "out.parquet", *where)
    assert (ended.status, ended.out) == (0, "")
    assert ended.err.endswith("out.parquet: 3 outcomes\n")
    assert sorted(row["index"] for row in pq.read_table(tmp_path / "out.parquet").to_pylist()) == [
        0, 1, 2,
    ]  # fmt: skip
    ended = await run("map", "echo", "in.jsonl", "-o", "one.jsonl.gz", "--head", "1", *where)
    assert ended.err.endswith("one.jsonl.gz: 1 outcome\n")
    stops = ("map", "fail", "in.jsonl", "-o", "out.jsonl.gz", "-c", "1", "--tolerate", "0", *where)
    ended = await run(*stops)
    assert ended.status == 3
    lines = gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()).splitlines()
    assert [json.loads(line)["error"] for line in lines] == ["FunctionError"] * len(lines)
    assert lines
    assert {path.name for path in tmp_path.iterdir()} == {
        "in.jsonl", "out.parquet", "one.jsonl.gz", "out.jsonl.gz",
    }  # fmt: skip


UNPACKED: dict[str, Callable[[bytes], bytes]] = {
    "out.jsonl.gz": gzip.decompress,
    "out.jsonl.zst": lambda packed: zstandard.ZstdDecompressor().decompressobj().decompress(packed),
    "file://{here}/out.jsonl": bytes,
}
LINES = b'{"index": 0, "ok": true}\n{"index": 1, "ok": true}\n'


def bulk(output: str, source: str = "in.jsonl", **changes: Any) -> Bulk:
    settings: dict[str, Any] = dict.fromkeys(each.name for each in fields(Bulk))
    settings |= {"function_name": "f", "source": source, "output": output, **changes}
    return Bulk(**settings)


def works(bulk: Bulk) -> int:
    assert bulk.output is not None
    Path(bulk.output).write_bytes(LINES)
    return 1


@pytest.mark.parametrize("name", UNPACKED)
def test_the_lines_of_a_run_without_a_journal_are_packed_when_it_ends(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    meanwhile = tmp_path.with_name(f"{tmp_path.name}-meanwhile")
    meanwhile.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(meanwhile))
    assert run_with_output(bulk(name.format(here=tmp_path)), works) == 1
    assert not list(meanwhile.iterdir())
    (made,) = tmp_path.iterdir()
    assert UNPACKED[name](made.read_bytes()) == LINES


def test_the_lines_of_a_run_without_a_journal_are_uploaded_and_nothing_is_left_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, meanwhile = tmp_path / "here", tmp_path / "meanwhile"
    for folder in (here, meanwhile):
        folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(tempfile, "tempdir", str(meanwhile))
    url = "memory://uploaded/out.jsonl.gz"
    assert run_with_output(bulk(url), lambda _: 2) == 2  # nothing was sent
    assert not fsspec.open(url).fs.exists(url)
    assert run_with_output(bulk(url), works) == 1
    with fsspec.open(url, "rb") as file:
        assert gzip.decompress(file.read()) == LINES
    assert not [*here.iterdir(), *meanwhile.iterdir()]


def test_if_the_output_cannot_be_written_the_lines_are_left_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def is_a_folder_now(bulk: Bulk) -> int:
        works(bulk)
        (tmp_path / "out.gz").mkdir()
        return 0

    with pytest.raises(CommandError, match=r"the outcomes are in out\.gz\.lines") as caught:
        run_with_output(bulk("out.gz"), is_a_folder_now)
    assert caught.value.status == 1
    assert (tmp_path / "out.gz.lines").read_bytes() == LINES


def test_the_lines_of_a_run_that_was_killed_are_not_taken_for_those_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out.gz.lines").write_bytes(b"before\n")
    with pytest.raises(CommandError, match=r"out\.gz\.lines has the outcomes of a killed run"):
        run_with_output(bulk("out.gz"), works)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before\n"]
    assert run_with_output(bulk("out.gz", force=True), works) == 1
    (made,) = tmp_path.iterdir()
    assert gzip.decompress(made.read_bytes()) == LINES


def test_an_output_that_is_the_input_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl.gz").touch()
    for journal in (None, "x.run"):
        asked = bulk("./in.jsonl.gz", "in.jsonl.gz", force=True, journal=journal)
        with pytest.raises(CommandError, match="is the input"):
            run_with_output(asked, works)


def test_where_nothing_was_sent_there_is_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_with_output(bulk("out.gz"), lambda _: 2) == 2
    assert not list(tmp_path.iterdir())


def test_a_journal_that_cannot_be_read_after_the_run_is_not_reported_as_nothing_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def is_damaged_now(_: Bulk) -> int:
        Path("in.run").write_bytes(b"no journal\n" * 100)
        return 0

    again = "asyncinvoke runs export in.run out.gz retries it"
    with pytest.raises(CommandError, match=f"it is not a journal: {again}") as caught:
        run_with_output(bulk("out.gz", journal="in.run"), is_damaged_now)
    assert caught.value.status == 1


async def test_no_name_of_a_file_controls_the_terminal(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    evil = "\x1b]0;title\x07\u202e"
    (tmp_path / f"{evil}.jsonl").write_text("1\n2\n")
    (tmp_path / f"none{evil}.jsonl").touch()
    (tmp_path / f"{evil}.run-control").write_text("not JSON")
    where = ("--endpoint-url", endpoint.url)
    recorded = ("-j", f"{evil}.run", "-o", f"recorded{evil}.gz", *where)
    for command, says in (
        (("map", "echo", f"{evil}.jsonl", "-o", f"{evil}.gz", *where), "2 outcomes"),
        (("map", "echo", f"none{evil}.jsonl", *where), "has no items"),
        (("map", "fail", f"{evil}.jsonl", *recorded, "--tolerate", "0"), "tolerated: 0"),
        (("map", "fail", f"{evil}.jsonl", *recorded), "runs redrive"),
        (("runs", "redrive", f"{evil}.run"), "not JSON; ignored"),
    ):
        printed = (await run(*command)).err
        assert says in printed
        assert all(line.isprintable() for line in printed.splitlines()), command
