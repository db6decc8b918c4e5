"""An input without items: the run says so in one line, for it may be the wrong file or prefix."""

import json
from pathlib import Path

import pytest

from asyncinvoke.cli import open_files
from asyncinvoke.cli.app import run as command
from asyncinvoke.cli.map.bulk_run import no_items
from asyncinvoke.inputs import read
from tests.cli.processes import Run

pytestmark = pytest.mark.anyio

NOWHERE = ("--endpoint-url", "http://127.0.0.1:9")
"""Nothing is sent."""


@pytest.mark.parametrize("options", [[], ["-j", "o.run", "-o", "out.jsonl"]])
@pytest.mark.parametrize(
    ("name", "text"),
    [("in.jsonl", ""), ("in.jsonl", "\n  \n"), ("in.csv", "a,b\n"), ("in.json", "[]")],
)
def test_an_input_without_items_is_said_to_have_none(
    name: str,
    text: str,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(open_files, "raise_open_files", lambda: None)
    Path(name).write_text(text)
    status = command(["map", "f", name, *options, *NOWHERE])
    assert status == 0
    assert capfd.readouterr().err.splitlines()[0] == f"{name} has no items"


async def test_processes_say_it_once_and_standard_input_is_called_so(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("")
    ended = await run("map", "f", "in.jsonl", "--processes", "2", *NOWHERE)
    assert (ended.status, ended.err.count("in.jsonl has no items\n")) == (0, 1)
    ended = await run("map", "f", "-", "--progress", "json", *NOWHERE)
    said = [json.loads(line) for line in ended.err.splitlines()]
    assert {"note": "standard input has no items"} in said
    assert said[-1]["done"] == 0


def test_of_a_prefix_it_is_objects_that_are_missing() -> None:
    assert no_items(read("s3://bucket/prefix/")) == "s3://bucket/prefix/ has no objects"


async def test_a_run_that_has_ended_says_nothing_of_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("not JSON\n")
    for _ in range(2):
        ended = await run("map", "f", "in.jsonl", "-j", "o.run", *NOWHERE)
        assert (ended.status, "has no" in ended.err) == (1, False)
