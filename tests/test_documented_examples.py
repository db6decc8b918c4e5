"""Every example of the user documentation runs, in page order, against a local endpoint."""

import ast
import asyncio
import inspect
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from anyio.from_thread import start_blocking_portal

from asyncinvoke.cli.app import app
from asyncinvoke.local import LocalLambda

DOCS = Path(__file__).parent.parent / "docs"

OF_OTHERS = {"architecture", "endpoint", "limits", "testing"}
"""Pages whose examples have separate tests."""

MINE = [
    "bulk",
    "commands",
    "comparison",
    "doctor",
    "errors",
    "faq",
    "index",
    "installation",
    "migration",
    "output",
]
MINE += ["retries", "services", "tutorial"]

PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHELL = re.compile(r"^ *```sh\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
AS_JSON = re.compile(r"^```json\n(.*?)^```", re.DOTALL | re.MULTILINE)


OPERATORS = {"|", "<", ">", "2>"}


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text("utf-8")


async def resize(event: dict[str, Any], context: object) -> dict[str, str]:
    if "key" not in event:
        raise ValueError("which picture?")
    return {"thumbnail": f"small-{event['key']}"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The endpoint that the examples find in their environment."""
    with start_blocking_portal() as portal:
        local = LocalLambda(account_concurrency=50)
        with portal.wrap_async_context_manager(local):
            local.function("resize", resize)
            yield local.url


@pytest.mark.parametrize("name", [name for name in MINE if PYTHON.search(page(name))])
def test_the_examples_of_a_page_run_one_after_the_other(
    name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", url)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.csv").write_text("key,size\na.jpg,1\nb.jpg,2\n")
    names: dict[str, Any] = {"__name__": "example"}

    async def run_all() -> None:
        # One event loop for each page, as in a notebook.
        for example in PYTHON.findall(page(name)):
            code = compile(example, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if code.co_flags & inspect.CO_COROUTINE:
                await eval(code, names)
            else:
                # Sync examples may block, or start their own event loops.
                await asyncio.to_thread(exec, code, names)

    asyncio.run(run_all())


def commands(text: str) -> list[list[str]]:
    """Return the words of each `asyncinvoke` command that a page shows."""
    lines = "\n".join(SHELL.findall(text)).splitlines()
    shown = [shlex.split(line, comments=True) for line in lines if line.startswith("asyncinvoke ")]
    ends = [[*(n for n, word in enumerate(words) if word in OPERATORS), None][0] for words in shown]
    return [words[1:end] for words, end in zip(shown, ends, strict=True)]


@pytest.mark.parametrize("name", [name for name in MINE if commands(page(name))])
def test_the_commands_of_a_page_are_commands_with_such_options(name: str) -> None:
    for command, *words in commands(page(name)):
        found = app.get_command(click.Context(app), command)
        assert found is not None
        # Only parse them, with all required arguments.
        found.make_context(command, list(words), resilient_parsing=False)


def test_the_lines_of_output_have_the_fields_that_the_page_explains() -> None:
    text = page("output")
    explained = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    shown = [json.loads(line) for line in AS_JSON.findall(text)[0].splitlines()]
    assert {field for line in shown for field in line} <= explained


def test_what_map_writes_is_explained(url: str, tmp_path: Path) -> None:
    lines = b'{"key": "a.jpg"}\n{"picture": "b.jpg"}\nnonsense\n'
    command = [sys.executable, "-m", "asyncinvoke", "map", "resize", "-", "-u", url]
    command += ["--progress", "json", "--key", "/key"]
    ended = subprocess.run(command, input=lines, capture_output=True, timeout=60)
    written = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(written) == 3
    written += [json.loads(line) for line in ended.stderr.splitlines()]
    explained = set(re.findall(r"^\| `(\w+)` \|", page("output"), re.MULTILINE))
    assert {field for line in written for field in line} <= explained
