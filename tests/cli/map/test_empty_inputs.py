"""An input without items is reported in one line, because it may be the wrong file or prefix."""

from pathlib import Path

import pytest

from asyncinvoke.cli import open_files
from asyncinvoke.cli.app import run as command
from asyncinvoke.cli.map.bulk_parts import no_items
from asyncinvoke.inputs import read
from tests.cli.processes import Run

pytestmark = pytest.mark.anyio

NOWHERE = ("--endpoint-url", "http://127.0.0.1:9")
"""Nothing is sent."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(open_files, "raise_open_files", lambda: None)
    return tmp_path


@pytest.mark.parametrize("options", [[], ["-j", "o.run", "-o", "out.jsonl"]])
@pytest.mark.parametrize(
    ("name", "text"),
    [("in.jsonl", ""), ("in.jsonl", "\n  \n"), ("in.csv", "a,b\n"), ("in.json", "[]")],
)
def test_an_input_without_items_is_reported(
    name: str,
    text: str,
    options: list[str],
    here: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    Path(name).write_text(text, encoding="utf-8")
    status = command(["map", "f", name, *options, *NOWHERE])
    assert status == 0
    assert capfd.readouterr().err.splitlines()[0] == f"{name} has no items"


async def test_processes_report_it_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("")
    ended = await run("map", "f", "in.jsonl", "--processes", "2", *NOWHERE)
    assert (ended.status, ended.err.count("in.jsonl has no items\n")) == (0, 1)


def test_it_is_named_by_its_kind() -> None:
    assert no_items(read("-")) == "standard input has no items"
    assert no_items(read("s3://bucket/prefix/")) == "s3://bucket/prefix/ has no objects"


def test_a_run_that_has_ended_does_not_report_it(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("in.jsonl").write_text("not JSON\n")
    for _ in range(2):
        assert command(["map", "f", "in.jsonl", "-j", "o.run", *NOWHERE]) == 1
        assert "has no" not in capfd.readouterr().err
