"""Options and payloads in the style of other commands: the error says what to write instead."""

import base64
import json
from pathlib import Path

import pytest

from asyncinvoke.cli.app import run
from asyncinvoke.cli.habits import AWS, has_colours
from asyncinvoke.cli.map.command import _Map, _named


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.jsonl").write_text("{}\n")
    return tmp_path


BASE64 = base64.b64encode(json.dumps({"key": "cat.jpg"}).encode()).decode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        *((["invoke", "resize", name, "x"], f"{name}: {printed}") for name, printed in AWS.items()),
        *((["map", "resize", "-", name], f"{name}: {printed}") for name, printed in AWS.items()),
        *(
            (["map", name, "x", "-"], f"{name}: {printed}")
            for name, printed in _Map.INSTEAD.items()
        ),
        (["invoke", "--function-name", "resize"], "pass the function as the first argument"),
        (["invoke", "resize", "{}", "out.json"], "out.json: unexpected word: -o FILE writes"),
        (["map", "resize", "a.jsonl", "b.jsonl"], "b.jsonl: unexpected word: INPUT is one file"),
        (["map", "resize", "a", "b", "c"], "b c: unexpected words"),
        (["invoke", "resize", "{}", "--output", "text"], "./text for a file of that name"),
        (["map", "resize", "lines.jsonl", "--output", "json"], "./json for a file of that name"),
        (["invoke", "resize", BASE64], "base64-encoded JSON: pass the JSON itself"),
        (["invoke", "resize", "aGVsbG8="], "payload: not JSON: Expecting value at column 1"),
        (["invok", "resize"], "No such command 'invok'. Did you mean 'invoke'?"),
        (["runs", "shwo", "a.run"], "No such command 'shwo'. Did you mean 'show'?"),
        (["lambda", "invoke"], "Did you mean 'asyncinvoke invoke FUNCTION'?"),
        (["runs", "resume", "a.run"], "No such command 'resume'. Did you mean 'unpause'?"),
        (["runs", "retry", "a.run"], "No such command 'retry'. Did you mean 'redrive'?"),
        (["resume"], "No such command 'resume'. (see"),
        (["help"], "No such command 'help'. Did you mean '--help'?"),
        (["doctor", "resize", "x"], "x: unexpected word"),
        (["demo", "x"], "x: unexpected word"),
        (["bogus"], "No such command 'bogus'. (see"),
        (["invoke", "resize", "--timeot", "3"], "'--timeout'?"),
    ],
)
def test_a_foreign_convention_gives_one_line_that_says_what_to_write(
    arguments: list[str], says: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("asyncinvoke: error: ")
    assert err.count("\n") == 1
    assert says in err
    assert [path.name for path in folder.iterdir()] == ["lines.jsonl"]


@pytest.mark.parametrize("name", ["file://event.json", "fileb://event.json", "@event.json"])
def test_the_error_for_a_file_that_is_not_json_does_not_explain_file_names(
    name: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "event.json").write_text("{'key': 1}")
    assert run(["invoke", "resize", name]) == 2
    printed = f"payload in {name}: not JSON: Expecting property name enclosed in double quotes"
    assert capfd.readouterr().err == f"asyncinvoke: error: {printed} at column 2\n"
    (folder / "event.json").write_text(f"{BASE64}\n", encoding="utf-8")
    assert run(["invoke", "resize", name]) == 2
    assert "(it is base64-encoded JSON: pass the JSON itself)" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("term", "no_color", "expected"),
    [("xterm", None, True), ("xterm", "", True), ("xterm", "1", False), ("dumb", None, False)],
)
def test_colours_are_omitted_if_disabled(
    term: str, no_color: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    assert has_colours() is expected


def test_the_input_of_a_map_may_be_written_as_a_payload_is() -> None:
    assert _named("@lines.jsonl") == _named("file://lines.jsonl") == "lines.jsonl"
    Path("@lines.jsonl").touch()
    assert _named("@lines.jsonl") == "@lines.jsonl"
    assert [_named(name) for name in ("-", "@missing", "s3://a/b")] == ["-", "@missing", "s3://a/b"]
