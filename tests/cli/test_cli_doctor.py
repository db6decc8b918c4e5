"""`asyncinvoke doctor` as a process."""

import json
import os
import subprocess
import sys

import pytest

from asyncinvoke.cli.doctor import _wrapped
from asyncinvoke.local import LocalLambda

from .processes import Run

pytestmark = pytest.mark.anyio


async def test_without_problems_it_reports_that_and_exits_with_0(
    endpoint: LocalLambda, run: Run
) -> None:
    ended = await run("doctor", "echo", "--endpoint-url", endpoint.url, "-t", "1m")
    assert (ended.status, ended.err) == (0, "")
    assert "ok      dry run: echo may be invoked" in ended.out
    assert ended.out.endswith("\nnothing is wrong\n")
    assert "\x1b" not in ended.out


async def test_what_is_wrong_is_status_1_as_json_too(endpoint: LocalLambda, run: Run) -> None:
    ended = await run("doctor", "missing", "-u", endpoint.url, "--json")
    told = json.loads(ended.out)
    assert (ended.status, told["ok"]) == (1, False)
    assert [check["name"] for check in told["checks"] if check["status"] == "wrong"] == ["dry run"]
    assert "test-secret" not in ended.out
    assert "test-key" not in ended.out


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_are_wrapped_between_words_on_terminals_only(width: int) -> None:
    text = "proxy: " + "a word and an-hyphen http://127.0.0.1:9001/a/long/path " * 4
    lines = _wrapped(text, width).splitlines()
    assert all(len(line) <= width - 8 for line in lines[:1])
    assert all(len(line) <= width and line.startswith(" " * 8) for line in lines[1:])
    assert " ".join(line.strip() for line in lines) == text.strip()
    assert _wrapped(text, None) == text


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
    ],
)
def test_a_terminal_gets_colours_unless_disabled(
    environment: dict[str, str], coloured: bool
) -> None:
    terminal, stdout = os.openpty()
    command = [sys.executable, "-m", "asyncinvoke", "doctor", "-u", "http://127.0.0.1:1"]
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    try:
        # Its output is far smaller than a terminal's buffer.
        subprocess.run(command, stdout=stdout, env=inherited | environment, timeout=60)
        shown = os.read(terminal, 65_536)
    finally:
        os.close(stdout)
        os.close(terminal)
    assert b"versions: asyncinvoke" in shown
    assert (b"\x1b[" in shown) is coloured


async def test_a_name_that_breaks_a_rule_is_wrong_usage(run: Run) -> None:
    ended = await run("doctor", "no spaces")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.count("\n") == 1


def test_a_low_limit_of_open_files_is_wrong() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (90, 90));"
        "from asyncinvoke.cli.app import run; raise SystemExit(run(['doctor', '-u', 'http://127.0.0.1:1']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert "wrong   open files: " in ended.stdout
    assert "the hard limit is no higher" in ended.stdout
    assert ended.stdout.endswith("\nwrong: open files, connection\n")
