"""`docs/scaling.md`: its example runs, and its command lines are valid."""

import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import anyio
import click
import pytest

import asyncinvoke
from asyncinvoke import Invoker, Shard
from asyncinvoke.cli.app import app
from asyncinvoke.runs import open_run
from asyncinvoke.testing import FakeLambda

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text("utf-8")
(EXAMPLE,) = re.findall(r"^```python\n(from asyncinvoke.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
SOON = 60


@pytest.mark.anyio
async def test_the_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fake = FakeLambda()
    fake.function("resize", lambda event, context: event)
    names: dict[str, Any] = {"photos": range(30)}
    code = f"async def example(invoker):\n{textwrap.indent(EXAMPLE, '    ')}"
    exec(code, names)
    with anyio.fail_after(SOON):
        async with Invoker(transport=fake) as invoker:
            await names["example"](invoker)
    assert sorted(map(int, capsys.readouterr().out.split())) == [2, 12, 22]
    with open_run("photos-3.run") as recorded:
        assert recorded.summary().succeeded == 3


def options_of(*words: str) -> set[str]:
    command: Any = app
    for word in words:
        command = command.get_command(click.Context(command), word)
    return {name for parameter in command.params for name in parameter.opts}


def test_every_option_of_the_page_is_one_of_the_command() -> None:
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE)) - {"--array", "--full"}
    assert {"--processes", "--shard", "--journal"} <= shown
    assert shown <= options_of("map")
    assert "merge" in app.get_command(click.Context(app), "runs").commands  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"JOB_COMPLETION_INDEX": "0"}, ["1/10"]),
        ({"JOB_COMPLETION_INDEX": "9"}, ["10/10"]),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "0"}, ["1/10"]),
        ({"SLURM_ARRAY_TASK_ID": "10", "SLURM_ARRAY_TASK_COUNT": "10"}, ["10/10"]),
    ],
)
def test_the_line_of_each_scheduler_names_a_shard(
    variables: dict[str, str], wanted: list[str]
) -> None:
    lines = [line for line in PAGE.splitlines() if next(iter(variables)) in line and "|" in line]
    shards = [match for line in lines for match in re.findall(r"--shard (.+?)`", line)]
    found = [
        subprocess.run(
            ["/bin/sh", "-c", f"echo {shard}"],
            env=variables,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for shard in shards
    ]
    assert found == wanted
    assert Shard.parse(found[0]).of == 10
    assert asyncinvoke.Shard is Shard
