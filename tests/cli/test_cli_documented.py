"""The README and the page on the command line match the command line."""

import re
from pathlib import Path

import click
import pytest

from asyncinvoke.cli.app import app
from tests.cli.commands import all_commands

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGE = (ROOT / "docs" / "commands.md").read_text("utf-8")


def commands() -> dict[str, click.Command]:
    context = click.Context(app)
    found = {name: app.get_command(context, name) for name in app.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


@pytest.mark.parametrize("width", [80, 100])
def test_no_help_is_wider_than_the_terminal_and_defaults_stand_apart(width: int) -> None:
    for command in all_commands(app):
        context = click.Context(command, info_name="asyncinvoke runs", terminal_width=width)
        for line in command.get_help(context).splitlines():
            assert len(line) <= width, line
            assert not re.search(r"[^ ] \[default", line), line


def test_every_command_is_in_the_readme_and_on_its_page() -> None:
    for name in commands():
        assert f"asyncinvoke {name}" in README
        assert f"asyncinvoke {name}" in PAGE


def test_every_option_in_the_readme_is_an_option_of_its_command() -> None:
    for line in re.findall(r"^asyncinvoke (.*)$", README, re.MULTILINE):
        name, *words = line.split("#")[0].split()
        known = {option for parameter in commands()[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_every_command_and_every_option_has_a_help_text() -> None:
    for name, command in commands().items():
        assert command.help, name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help, f"{name} {parameter.opts}"


def test_the_exit_statuses_of_the_page_are_those_of_the_help() -> None:
    documented = set(re.findall(r"^\| (\d+) \| ", PAGE, re.MULTILINE))
    assert documented == {"0", "1", "2", "3", "4", "130", "141"}
    help_text = app.get_help(click.Context(app))
    assert documented <= set(re.findall(r"^ +(\d+) ", help_text, re.MULTILINE))
