"""The command group, and the one place where errors become exit statuses.

Commands are imported on demand, and import their own dependencies when they run, to keep `--help`
fast.
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
from asyncinvoke.cli.terminated import TerminatedError

COMMANDS = {
    "demo": ("asyncinvoke.cli.demo.command:demo", "Run a demonstration; needs no AWS account."),
    "doctor": ("asyncinvoke.cli.doctor:doctor", "Diagnose why invocations fail."),
    "invoke": ("asyncinvoke.cli.invoke:invoke", "Invoke a function once."),
    "local": (
        "asyncinvoke.cli.local.command:local",
        "Serve Lambda functions locally to any AWS SDK.",
    ),
    "map": ("asyncinvoke.cli.map.command:map_", "Invoke a function for each line of a file."),
    "runs": ("asyncinvoke.cli.runs.commands:runs", "Inspect, control and redrive recorded runs."),
}
"""The import path of each command, and its line in the list of commands."""

STATUSES = {
    "0": "success; `local`: stopped by Ctrl-C",
    "1": "some invocations failed, or their results could not be written",
    "2": "usage or configuration error, or a journal that is in use or of another run; nothing was "
    "sent",
    "3": "stopped early: the failure tolerance was exceeded, every call was refused, nothing could be "
    "sent for five minutes, or `runs stop` was used",
    "4": "finished, but some of the failed items may have run",
    "130": "interrupted by Ctrl-C (143: by SIGTERM, 129: by SIGHUP)",
    "141": "the reader of standard output closed it",
}
"""What each exit status means."""


@contextlib.contextmanager
def _broken_pipes_hidden() -> Iterator[None]:
    """Hide broken pipes from click, which would exit with its own status."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGoneError from error


class _Commands(Group):
    """Imports a command only when it is invoked; listing the commands imports none."""

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
        with _broken_pipes_hidden():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _broken_pipes_hidden():
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
    """Invoke AWS Lambda functions, once or for each line of a file.

    To try it without an AWS account: asyncinvoke demo

    To diagnose problems: asyncinvoke doctor
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status. Any error is one line on stderr.

    Args:
        arguments: The arguments after the program name; `sys.argv[1:]` by default.
    """
    try:
        prepare_standard_streams()
        status = app.main(
            arguments,
            prog_name="asyncinvoke",
            standalone_mode=False,
            color=None if has_colours() else False,
        )
    except TerminatedError as error:
        return 128 + error.number
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except ReaderGoneError:
        # Otherwise the interpreter reports an error when it flushes the stream at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return WRONG_USAGE
    except Exception as error:  # noqa: BLE001  # every error becomes one line
        return complain(error)
    return status if isinstance(status, int) else 0
