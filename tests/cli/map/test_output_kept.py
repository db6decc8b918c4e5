"""What commands preserve of existing files, and what they show of a URL."""

import json
from pathlib import Path

import anyio
import pytest

from asyncinvoke import Invoker, Journal
from asyncinvoke._outputs import files
from asyncinvoke._report.facts import facts_of
from asyncinvoke.cli import open_files
from asyncinvoke.cli.app import run as command
from asyncinvoke.runs import measured, open_run
from asyncinvoke.testing import FakeLambda

URL = "https://u:pw@h.example/x.jsonl?X-Amz-Signature=not-a-secret"
SECRET = ("u:pw", "Signature", "not-a-secret")
SHOWN = "https://h.example/x.jsonl"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(open_files, "raise_open_files", lambda: None)
    return tmp_path


def record() -> None:
    shared = {"idempotent": True, "endpoint_url": URL}
    note = {"source": URL, "source_path": URL, "whole_output": URL, "shared": shared}

    async def work() -> None:
        async with (
            Invoker(transport=FakeLambda({"echo": lambda event, _: event})) as invoker,
            invoker.map("echo", [1], journal=Journal("e.run", notes={"command": note})) as outcomes,
        ):
            async for _ in outcomes:
                pass

    anyio.run(work)


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_run_is_shown_without_what_is_secret_in_its_urls(
    words: tuple[str, ...], here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record()
    assert command(("runs", "show", "e.run", *words)) == 0
    printed = capfd.readouterr().out
    assert SHOWN in printed
    assert not [each for each in SECRET if each in printed]
    assert "not idempotent" not in printed
    if words:
        assert json.loads(printed)["notes"]["command"]["whole_output"] == SHOWN


def test_a_report_shows_no_secrets_of_urls(here: Path) -> None:
    record()
    with open_run("e.run") as run:
        facts = facts_of(run.summary(), run.causes(), measured("e.run"), run.samples())
    assert facts.about["Input"] == SHOWN


@pytest.mark.parametrize("words", [("bad name!!",), ("f", "-u", "http://127.0.0.1:9", "-t", "1")])
@pytest.mark.parametrize("stream", [(), ("--stream",)])
def test_an_answer_that_does_not_come_leaves_its_file_as_it_was(
    words: tuple[str, ...], stream: tuple[str, ...], here: Path
) -> None:
    Path("keep.json").write_text("keep")
    assert command(("invoke", *words, "--payload", "{}", "-o", "keep.json", *stream)) != 0
    assert Path("keep.json").read_text("utf-8") == "keep"


@pytest.mark.parametrize(
    "words", [("@~nosuchuser/x",), ("{}", "--client-context", "file://~nosuchuser/x")]
)
def test_the_home_of_an_unknown_user_is_wrong_usage(
    words: tuple[str, ...], here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command(("invoke", "f", *words)) == 2
    printed = capfd.readouterr().err
    assert "internal" not in printed
    assert printed.count("\n") == 1


def test_an_output_takes_no_name_that_others_may_have(here: Path) -> None:
    Path("out.gz.part").write_text("mine")
    with files.written("out.gz", {}, "gz") as file:
        file.write(b"x")
    with pytest.raises(ZeroDivisionError), files.written("b.gz", {}, "gz"):
        raise ZeroDivisionError
    assert Path("out.gz.part").read_text("utf-8") == "mine"
    assert {path.name for path in here.iterdir()} == {"out.gz", "out.gz.part"}
