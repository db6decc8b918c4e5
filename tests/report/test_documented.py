"""The page on reports: its example runs, its commands are accepted, its prices match the code."""

import re
import shlex
from pathlib import Path

import anyio
import click
import pytest

from asyncinvoke import Invoker
from asyncinvoke._report import prices
from asyncinvoke.cli.app import app
from asyncinvoke.testing import FakeLambda

PAGE = (Path(__file__).parents[2] / "docs" / "report.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [
    line for language, block in BLOCKS for line in block.splitlines() if not language and line
]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_are_taken(line: str) -> None:
    name, *words = shlex.split(line)[1:]
    command = app.get_command(click.Context(app), name)
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words.pop(0))
    assert command is not None
    assert command.make_context(name, words).params


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    async def work() -> None:
        async with (
            Invoker(transport=FakeLambda({"f": lambda event, context: event})) as invoker,
            invoker.map("f", range(7), journal="orders.run") as run,
        ):
            async for _ in run:
                pass

    anyio.run(work)
    (example,) = (block for language, block in BLOCKS if language == "python")
    exec(example, {})
    assert capsys.readouterr().out == "7 items were sent\n"


def test_the_prices_are_those_of_the_table() -> None:
    text = " ".join(PAGE.split())
    assert f"Prices are those of {prices.PRICES_OF}" in text
    assert f"${prices.PER_GB_S:.10f} for a GB-second" in text
    assert f"${prices.PER_REQUEST * 1e6:.2f} for a million requests" in text
