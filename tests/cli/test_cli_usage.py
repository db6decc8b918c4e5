"""The command line before any work: help, version, wrong usage, missing extras."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete

from asyncinvoke.cli.app import COMMANDS, app

from .processes import Run

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("command", sorted(COMMANDS))
async def test_the_help_of_a_command_shows_every_option(command: str, run: Run) -> None:
    ended = await run(command, "--help")
    assert ended.status == 0
    found = app.get_command(click.Context(app), command)
    assert found is not None
    assert found.get_short_help_str(limit=100) == COMMANDS[command][1]
    shown = [each for each in found.params if not getattr(each, "hidden", False)]
    for parameter in shown:
        for name in parameter.opts:
            assert name in ended.out or parameter.param_type_name == "argument"


async def test_the_version_is_the_installed_one(run: Run) -> None:
    from importlib.metadata import version

    for word in ("--version", "-V"):
        assert (await run(word)).out == f"asyncinvoke {version('asyncinvoke')}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["--region", "x", "map", "f", "-"], "follow the command: asyncinvoke map --region (see"),
        (["runs", "--json", "show", "r"], "follow the command: asyncinvoke runs show --json (see"),
        (["--verison"], "Did you mean '--version'"),
        (["--verison", "map"], "Did you mean '--version'"),
        (["invoke"], "Missing argument 'FUNCTION'"),
        (["invoke", "echo", "--bogus"], "No such option"),
        (["invoke", "echo", "--invocation-type", "event"], "--invocation-type"),
        (["invoke", "echo", "--timeout", "0"], "--timeout"),
        (["invoke", "echo", "--timeout", "nan"], "'nan' is not a duration: write 30, 1.5s"),
        (["invoke", "echo", "-t", "5d"], "'5d' is not a duration"),
        (["invoke", "echo", "[1]", "--payload", "[1]"], "the payload is given twice"),
        (["invoke", "echo", "large.json"], "--payload file://large.json sends it"),
        (["invoke", "echo", "--stream", "--invocation-type", "Event"], "exclude each other"),
        (["invoke", "f", "--stream", "--durable-execution-name", "x"], "exclude each other"),
        (["invoke", "echo", "--durable-execution-name", "a b"], "durable_execution_name 'a b'"),
        (["invoke", "--function-name", "echo"], "pass the function as the first argument"),
        (["invoke", "echo", "--query", "x"], "jq"),
        (["invoke", "echo", "--client-context", "file://missing"], "cannot read --client-context"),
        (["map", "echo", "-", "--event", "--dry-run"], "exclude each other"),
        (
            ["map", "echo", "-", "--changed", "keep", "-j", "r"],
            "--changed needs --journal and --key",
        ),
        (["map", "echo", "-", "--rate", "0"], "--rate"),
        (["map", "echo", "-", "--head", "0"], "--head"),
        (["map", "echo", "-", "--retries", "-1"], "--retries"),
        (["invoke", "no spaces"], "no spaces"),
        (
            ["invoke", "echo", " "],
            "payload: it is empty, which is not JSON: omit it to send no payload",
        ),
        (["invoke", "echo", "-"], "payload from standard input: it is empty"),
        (["invoke", "echo", "@-"], "payload from standard input: it is empty"),
        (["invoke", "echo", "-o", ""], "--output is empty"),
        (["map", "echo", "-", "-o", ""], "--output is empty"),
        (["local", "--env", "1X=2"], "--env: variable '1X' must consist of letters, digits and _"),
        (["local", "--set", "f:env.A B=2"], "--set f: variable 'A B' must consist of letters"),
        (["invoke", "echo", "--client-context", "[1]"], "--client-context must be a JSON object"),
        (["invoke", "echo", "--payload", '{"a": secret}'], "payload: not JSON"),
        (["invoke", "echo", "--payload", '{"a": NaN}'], "NaN is not a JSON number"),
        (["invoke", "echo", "--payload", "file://missing.json"], "missing.json"),
        (["invoke", "echo", "--payload", "file://utf16.json"], "utf16.json is UTF-16, not JSON"),
        (["invoke", "echo", "--payload", "file://large.json"], "at most 6,291,456 bytes"),
        (["invoke", "echo", "--endpoint-url", "nowhere"], "nowhere"),
        (["invoke", "echo", "--profile", "missing"], "missing"),
        (["map", "echo", "missing.jsonl"], "cannot read missing.jsonl"),
        (["map", "echo", "."], "cannot read ."),
        (["map", "echo", "-", "--concurrency", "0"], "--concurrency"),
        (["map", "echo", "-", "--output", "missing/out.jsonl"], "cannot write missing/out.jsonl"),
        (["map", "echo", "-", "--tolerate", "2.5"], "'2.5' is neither a number such as 100"),
        (["map", "echo", "-", "--tolerate", "101%"], "'101%' is neither a number such as 100"),
        (["demo", "--head", "0"], "--head"),
        (["doctor", "-t", "0"], "'0' is not a duration: write 30, 1.5s, 500ms, 5m or 1h"),
    ],
)
async def test_wrong_usage_is_one_clear_line(
    arguments: list[str], says: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "utf16.json").write_text('{"a": "secret"}', "utf-16")
    (tmp_path / "large.json").write_text(f'"{"x" * 6_291_455}"', encoding="utf-8")
    ended = await run(*arguments)
    assert ended.status == 2
    assert ended.out == ""
    assert ended.err.startswith("asyncinvoke: error: ")
    assert ended.err.count("\n") == 1
    assert says in ended.err
    assert "secret" not in ended.err


async def test_no_command_shows_the_help(run: Run) -> None:
    ended = await run()
    assert ended.status == 2
    assert "Commands:" in ended.err


@pytest.mark.parametrize("command", ["invoke", "map"])
async def test_no_credentials_is_one_clear_line(command: str, run: Run) -> None:
    empty = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    ended = await run(command, "echo", *(["-"] if command == "map" else []), **empty)
    assert ended.status == 2
    assert "no AWS credentials" in ended.err
    assert ended.err.count("\n") == 1


def test_without_click_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['click'] = None; from asyncinvoke.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == (
        "asyncinvoke: the command line needs click and rich: pip install 'asyncinvoke[cli]'\n"
    )


def test_help_imports_nothing_slow() -> None:
    slow = {"rich", "aiobotocore", "botocore", "aiohttp", "tenacity", "anyio", "asyncinvoke._names"}
    for words in ([], ["map"], ["invoke"], ["doctor"], ["demo"]):
        program = (
            f"import sys; from asyncinvoke.cli.app import run; run({[*words, '--help']});"
            f"print(sorted({slow} & set(sys.modules)))"
        )
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        if not words:
            assert ended.stdout.splitlines()[-1] == "[]"
        assert not {"rich", "aiobotocore", "botocore"} & set(
            ended.stdout.splitlines()[-1].split("'")
        )


def test_a_closed_standard_output_is_one_clear_line() -> None:
    command = f"{sys.executable} -m asyncinvoke map echo - >&-"
    ended = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert ended.returncode == 2
    assert ended.stderr == "asyncinvoke: error: standard output is closed\n"


@pytest.mark.parametrize(
    ("command", "name"),
    [("map echo -", "standard input"), ("invoke echo -", "payload from standard input")],
)
def test_a_closed_standard_input_is_one_clear_line(command: str, name: str) -> None:
    ended = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m asyncinvoke {command} -r us-east-1 <&-"],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert ended.stderr == f"asyncinvoke: error: cannot read {name}: it is closed\n"


def test_commands_options_and_files_are_completed() -> None:
    complete = BashComplete(app, {}, "asyncinvoke", "_ASYNCINVOKE_COMPLETE")

    def completed(words: list[str], begun: str) -> list[tuple[str, str]]:
        return [(item.type, item.value) for item in complete.get_completions(words, begun)]

    assert completed([], "do") == [("plain", "doctor")]
    assert ("plain", "--output") in completed(["map"], "--o")
    for words in (["map", "resize"], ["map", "resize", "-", "-o"], ["map", "resize", "-", "-j"]):
        assert completed(words, "pho") == [("file", "pho")]
    for words in (["invoke", "resize", "-o"], ["local"], ["local", "--config"]):
        assert completed(words, "pho") == [("file", "pho")]
