"""The page on inputs: its examples run, and its commands are valid."""

import gzip
import re
import shlex
import textwrap
from pathlib import Path

import click
import pytest

from asyncinvoke._inputs.formats import format_of
from asyncinvoke._inputs.item import Item, ItemSpec
from asyncinvoke._inputs.template import PayloadTemplate
from asyncinvoke.cli.app import app
from asyncinvoke.local import LocalLambda
from tests.test_readme import run_script

PAGE = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
EXAMPLES = [block for language, block in BLOCKS if language == "python"]
COMMANDS = [
    line[line.index("asyncinvoke map") :]
    for language, block in BLOCKS
    for line in block.splitlines()
    if not language and "asyncinvoke map" in line
]
TEMPLATES = re.findall(
    r"^\| `([^|]*\{/?[^|]*\}[^|]*)` \|[^|]*\| `([^|]*?)`[^`|]*\|$", PAGE, re.MULTILINE
)


@pytest.mark.anyio
async def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = "".join(textwrap.indent(example, "    ") for example in EXAMPLES)
    code = f"import anyio\nimport asyncinvoke\n\n\nasync def main():\n{parts}\n\nanyio.run(main)\n"

    (tmp_path / "orders.csv.gz").write_bytes(gzip.compress(b"id,price\na,1\nb,2\n"))
    monkeypatch.chdir(tmp_path)
    async with LocalLambda(region_name="eu-west-1") as local:
        local.function("charge", lambda event, context: event)
        printed = await run_script(code, local.url, tmp_path)
    *outcomes, error = printed.splitlines()
    assert sorted(outcomes) == ["a True", "b True"]
    assert error == "cannot read orders.csv: No such file or directory"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_taken(command: str) -> None:
    words = shlex.split(command)[2:]
    command_map = app.get_command(click.Context(app), "map")
    assert command_map is not None
    parameters = command_map.make_context("map", words).params
    format_of(parameters["source"], parameters["from_"])
    assert {"thumbnail", "charge"} >= {parameters["function_name"]}


def test_the_templates_of_the_table_give_what_it_says() -> None:
    assert len(TEMPLATES) == 4
    row = b'{"key": "a.jpg", "size": 7}'
    for template, payload in TEMPLATES:
        made = Item(0, 1, row, None, ItemSpec(None, PayloadTemplate(template), is_json=True))
        assert made.payload.decode() == payload
