"""Outputs that would overwrite an input or a journal, or cannot be written, are refused first."""

import contextlib
import gzip
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke import Invoker
from asyncinvoke.cli import open_files, streams
from asyncinvoke.cli.app import run as command
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.map.settings import Bulk
from asyncinvoke.cli.map.whole_output import run_with_output
from asyncinvoke.local import LocalLambda
from asyncinvoke.testing import FakeLambda
from tests.cli.processes import Run

LINES = b'{"index": 0, "ok": true}\n'


def bulk(output: str, source: str = "in.jsonl", **changes: Any) -> Bulk:
    settings: dict[str, Any] = dict.fromkeys(each.name for each in fields(Bulk))
    settings |= {"function_name": "f", "source": source, "output": output, **changes}
    return Bulk(**settings)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


SAME = (
    *("e.run", "./e.run", "link.run", "hard.run"),
    *("e.run-marks", "e.run-wal", "e.run-control", "e.run-control.new"),
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an input; its commands run in this process, and send nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(open_files, "raise_open_files", lambda: None)
    (tmp_path / "in.jsonl").write_text("1\n2\n")
    (tmp_path / "folder").mkdir()
    return tmp_path


async def record(path: Path) -> None:
    async with (
        Invoker(transport=FakeLambda({"echo": lambda event, _: event})) as invoker,
        invoker.map("echo", [1, 2], journal=path) as outcomes,
    ):
        async for _ in outcomes:
            pass


MAP = ("map", "echo", "in.jsonl", "--endpoint-url", "http://127.0.0.1:9", "-t", "2")


@pytest.mark.parametrize("output", SAME)
def test_no_command_writes_over_the_journal_that_it_reads(
    output: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    anyio.run(record, here / "e.run")
    Path("link.run").symlink_to("e.run")
    os.link("e.run", "hard.run")
    before = contents(here)
    for words in (
        (*MAP, "-j", "e.run", "-o", output, "--force"),
        (*MAP, "-j", "e.run", "-o", output, "--force", "--processes", "2"),
        ("runs", "export", "e.run", output, "--force"),
        ("runs", "report", "e.run", "-o", output, "--force"),
    ):
        assert command(words) == 2
        printed = capfd.readouterr().err
        assert printed.startswith(f"asyncinvoke: error: output {output} is ")
        assert " the journal" in printed
        assert printed.count("\n") == 1
        assert contents(here) == before


@pytest.mark.parametrize("output", ["other.run", "link.run", "other.run-marks", "other.run-wal"])
def test_no_command_writes_over_the_journal_of_another_run(
    output: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Such as the journal of a process of the same run: s.run.1of2 beside s.run.
    for path in ("e.run", "other.run"):
        anyio.run(record, here / path)
    Path("link.run").symlink_to("other.run")
    before = contents(here)
    for words in (
        (*MAP, "-j", "e.run", "-o", output, "--force"),
        (*MAP, "-o", output, "--force"),
        ("runs", "export", "e.run", output, "--force"),
        ("runs", "report", "e.run", "-o", output, "--force"),
    ):
        assert command(words) == 2
        printed = capfd.readouterr().err
        assert printed.startswith(f"asyncinvoke: error: output {output} is a ")
        assert printed.count("\n") == 1
        assert contents(here) == before


@pytest.mark.parametrize("to", ["new.run", "new.run-marks", "new.run-wal"])
def test_no_command_writes_over_the_target_of_redirected_standard_output(
    to: str, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for words in ((*MAP, "-j", "new.run", "-o", "-"), ("runs", "export", "new.run", "-")):
        with Path(to).open("wb") as output:
            monkeypatch.setattr(streams, "STDOUT", output.fileno())
            assert command(words) == 2
        assert "error: standard output is " in capfd.readouterr().err
        assert contents(here) == {"in.jsonl": b"1\n2\n", to: b""}


@pytest.mark.parametrize(
    ("output", "processes"),
    [("new.run", "1"), ("./new.run", "2"), ("new.run-marks", "1"), ("new.run.1of2", "2")],
)
def test_no_command_writes_over_a_journal_that_is_yet_to_be_created(
    output: str, processes: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command((*MAP, "-j", "new.run", "-o", output, "--processes", processes)) == 2
    assert f"error: output {output} is " in capfd.readouterr().err
    assert set(contents(here)) == {"in.jsonl"}


UNWRITABLE = {
    "no/out.jsonl": "its folder does not exist",
    "folder": "it is a folder",
    "in.jsonl": "is the input",
}


@pytest.mark.parametrize("journal", [(), ("-j", "e.run")], ids=["live", "recorded"])
@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("output", UNWRITABLE)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_sent(
    output: str,
    processes: str,
    journal: tuple[str, ...],
    here: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = (*MAP, "-o", output, "--force", "--processes", processes, *journal)
    assert command(words) == 2
    printed = capfd.readouterr().err
    assert UNWRITABLE[output] in printed
    assert printed.count("\n") == 1
    assert contents(here) == {"in.jsonl": b"1\n2\n"}


@pytest.mark.anyio
@pytest.mark.parametrize("journal", [(), ("-j", "e.run")], ids=["live", "recorded"])
async def test_an_output_that_fails_later_is_not_wrong_usage(
    journal: tuple[str, ...], endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("1\n2\n")
    (tmp_path / "folder").mkdir()

    async def remove_the_folder(event: Any, context: Any) -> Any:
        if (tmp_path / "folder").exists():
            (tmp_path / "folder").rmdir()

    endpoint.function("removes", remove_the_folder)
    ended = await run(
        *("map", "removes", "in.jsonl", "-o", "folder/out.jsonl", "--processes", "2", *journal),
        *("--endpoint-url", endpoint.url),
    )
    assert "cannot write folder/out.jsonl" in ended.err
    assert ended.status == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("journal is moved", "e.run: it was deleted while the run was under way"),
        ("output is moved", "out.jsonl was removed or moved while it was written"),
        ("output is emptied", "out.jsonl was truncated by another program while it was written"),
    ],
)
@pytest.mark.parametrize(
    ("progress", "shown"), [((), "outcomes in "), (("--progress", "json"), '"failures": []')]
)
async def test_an_output_that_is_deleted_meanwhile_is_reported_and_not_wrong_usage(
    what: str,
    says: str,
    progress: tuple[str, ...],
    shown: str,
    endpoint: LocalLambda,
    run: Run,
    tmp_path: Path,
) -> None:
    (tmp_path / "in.jsonl").write_text(
        "".join(f"{number}\n" for number in range(30)), encoding="utf-8"
    )
    output = tmp_path / "out.jsonl"

    async def take_away(event: Any, context: Any) -> Any:
        if event != 20:
            return
        with anyio.fail_after(60):
            while not output.stat().st_size:
                await anyio.sleep(0.01)
        if what == "journal is moved":
            (tmp_path / "e.run").rename(tmp_path / "moved")
        elif what == "output is moved":
            output.rename(tmp_path / "moved")
        else:
            output.write_bytes(b"")

    endpoint.function("takes", take_away, timeout=70)
    words = ("map", "takes", "in.jsonl", "-o", "out.jsonl", "-j", "e.run", "-c", "1")
    ended = await run(*words, "--endpoint-url", endpoint.url, *progress)
    assert says in ended.err
    assert shown in ended.err  # and its outcome
    assert ended.status == 1
    if what == "output is emptied":
        assert output.read_bytes() == b""  # no hole


@pytest.mark.anyio
@pytest.mark.parametrize("output", ["out.jsonl", "out.jsonl.gz"])
async def test_an_output_is_that_of_the_run_however_its_path_is_written(
    output: str, endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("1\n2\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(".")
    words = ("map", "echo", "in.jsonl", "-j", "e.run", "--endpoint-url", endpoint.url)
    for path in (output, f"link/folder/../{output}"):
        ended = await run(*words, "-o", path)
        assert ended.status == 0, ended.err
    (tmp_path / f"other-{output}").write_text("another's\n")
    ended = await run(*words, "-o", f"other-{output}")
    assert ended.status == 2
    assert "--force replaces it" in ended.err


@pytest.mark.anyio
@pytest.mark.parametrize("output", ["out.jsonl", "out.jsonl.gz"])
async def test_an_output_is_that_of_the_run_as_an_older_version_has_noted_it_too(
    output: str, endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("1\n2\n")
    (tmp_path / "link").symlink_to(".")
    words = ("map", "echo", "in.jsonl", "-j", "e.run", "-o", output, "--endpoint-url", endpoint.url)
    assert (await run(*words)).status == 0
    written = (tmp_path / output).read_bytes()
    with closing(sqlite3.connect(tmp_path / "e.run")) as journal, journal:
        for name, text in journal.execute("SELECT name, value FROM run WHERE name LIKE 'note:%'"):
            note = json.loads(text.replace(f"{tmp_path}/{output}", f"{tmp_path}/link/{output}"))
            if name == "note:output":
                del note["lost"]
            journal.execute("UPDATE run SET value = ? WHERE name = ?", (json.dumps(note), name))
    ended = await run(*words)
    assert ended.status == 0, ended.err
    if output == "out.jsonl":
        assert (tmp_path / output).read_bytes() == written


def refused(asked: Bulk) -> int:
    raise CommandError("no such region")


def is_interrupted(asked: Bulk) -> int:
    return 130


@pytest.mark.parametrize("work", [refused, is_interrupted])
def test_the_only_copy_of_outcomes_outlives_a_call_that_sends_nothing(
    work: Callable[[Bulk], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out.gz.lines").write_bytes(LINES)
    with contextlib.suppress(CommandError):
        assert run_with_output(bulk("out.gz", force=True), work) == 130
    assert contents(tmp_path) == {"out.gz.lines": LINES}


def test_a_mistake_in_the_options_leaves_existing_lines(here: Path) -> None:
    Path("out.gz.lines").write_bytes(LINES)
    words = ("map", "bad name!!", "in.jsonl", "-o", "out.gz", "--force", "-u", "http://127.0.0.1:9")
    assert command(words) == 2
    assert contents(here) == {"in.jsonl": b"1\n2\n", "out.gz.lines": LINES}


def test_the_lines_in_the_way_may_be_the_input_or_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out.gz.lines").write_bytes(LINES)
    with pytest.raises(CommandError, match=r"output out\.gz\.lines is the input") as caught:
        run_with_output(bulk("out.gz", "./out.gz.lines", force=True), refused)
    assert caught.value.status == 2
    Path("b.gz.lines").mkdir()
    with pytest.raises(CommandError, match=r"b\.gz\.lines: it is not a regular file") as caught:
        run_with_output(bulk("b.gz", force=True), refused)
    assert caught.value.status == 2
    assert contents(tmp_path) == {"out.gz.lines": LINES}


@pytest.mark.anyio
async def test_a_run_that_begins_replaces_them(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("1\n")
    (tmp_path / "out.gz.lines").write_bytes(LINES)
    words = ("in.jsonl", "-o", "out.gz", "--force", "--endpoint-url", endpoint.url)
    assert (await run("map", "echo", *words)).status == 0
    assert set(contents(tmp_path)) == {"in.jsonl", "out.gz"}
    assert b'{"got": 1}' in gzip.decompress((tmp_path / "out.gz").read_bytes())


def test_what_ends_before_there_is_a_journal_keeps_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_with_output(bulk("out.gz", journal="new.run"), is_interrupted) == 130
