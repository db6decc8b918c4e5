"""The command group, and the one place where errors become exit statuses.

A command is imported when it is asked for, and imports what it needs when it runs, so that
`--help` is quick.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import click

from asyncinvoke.cli.errors import BROKEN_PIPE, INTERRUPTED, WRONG_USAGE, complain
from asyncinvoke.cli.habits import Group, has_colours
from asyncinvoke.cli.standard import ReaderGoneError, prepare_standard_streams

COMMANDS = {
    "demo": ("asyncinvoke.cli.demo.command:demo", "See it work, without an AWS account."),
    "doctor": ("asyncinvoke.cli.doctor:doctor", "Find out why invocations do not work."),
    "invoke": ("asyncinvoke.cli.invoke:invoke", "Invoke a function once."),
    "local": (
        "asyncinvoke.cli.local.command:local",
        "Serve functions on this machine to any AWS SDK.",
    ),
    "map": ("asyncinvoke.cli.map.command:map_", "Invoke a function for each line of a file."),
    "runs": ("asyncinvoke.cli.runs.commands:runs", "Look at recorded runs, steer and repeat them."),
}
"""Each command's place and the line that the list of commands has for it."""

STATUSES = {
    "0": "all well",
    "1": "some invocations failed, or their results could not be written",
    "2": "wrong usage or configuration, a journal of something else or in use; nothing was sent",
    "3": "stopped before the end: more failed than is tolerated, every call was refused, or by "
    "`runs stop`",
    "4": "ended, and some that failed may have run",
    "130": "interrupted by Ctrl-C (143: by SIGTERM, 129: by SIGHUP)",
    "141": "the reader of the output went away",
}
"""What each exit status says."""


@contextlib.contextmanager
def _heard() -> Iterator[None]:
    """Let click see no broken pipe: it would end with a status of its own."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGoneError from error


class _Commands(Group):
    """Imports a command when it is asked for; the list of them needs none."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        with _heard():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _heard():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Exit status"):
            formatter.write_dl(list(STATUSES.items()))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(
    None, "-V", "--version", package_name="asyncinvoke", message="%(prog)s %(version)s"
)
def app() -> None:
    """Invoke AWS Lambda functions: one, or as many as a file has lines.

    Try it without an AWS account: asyncinvoke demo

    Something is wrong? asyncinvoke doctor
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; give its exit status. Whatever goes wrong is one line on stderr.

    Args:
        arguments: The words after the program's name; by default `sys.argv`'s.
    """
    try:
        prepare_standard_streams()
        status = app.main(
            arguments,
            prog_name="asyncinvoke",
            standalone_mode=False,
            color=None if has_colours() else False,
        )
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except ReaderGoneError:
        # Or the interpreter would complain when it flushes the stream at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return WRONG_USAGE
    except Exception as error:  # noqa: BLE001  # whatever it is, it becomes one line
        return complain(error)
    return status if isinstance(status, int) else 0
