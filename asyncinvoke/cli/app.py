"""The command group, and the one place where errors become exit statuses.

The commands import what they need when they run, so that `--help` is quick.
"""

import io
import os
import sys
from collections.abc import Sequence

import click

from asyncinvoke.cli.demo.command import demo
from asyncinvoke.cli.errors import INTERRUPTED, WRONG_USAGE, CommandError, complain
from asyncinvoke.cli.invoke import invoke
from asyncinvoke.cli.local import local
from asyncinvoke.cli.map import map_
from asyncinvoke.cli.streams import STDOUT

EPILOG = """\b
Exit status:
  0    all well
  1    some invocations failed
  2    wrong usage or configuration; nothing was sent
  3    stopped before the end: every call was refused for one reason
  4    ended, and some that failed may have run
  130  interrupted by Ctrl-C (143: by SIGTERM)
  141  the reader of the output went away
"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(package_name="asyncinvoke", message="%(prog)s %(version)s")
def app() -> None:
    """Invoke AWS Lambda functions: one, or as many as a file has lines.

    Try it without an AWS account: asyncinvoke demo
    """


for _command in (demo, invoke, map_, local):
    app.add_command(_command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; give its exit status. Whatever goes wrong is one line on stderr.

    Args:
        arguments: The words after the program's name; by default `sys.argv`'s.
    """
    try:
        _prepare_streams()
        status = app.main(arguments, prog_name="asyncinvoke", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return WRONG_USAGE
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        return complain(error)
    return status if isinstance(status, int) else 0


def _prepare_streams() -> None:
    """Let no socket become stdin or stderr where those are closed; without stdout refuse."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            if descriptor == STDOUT:
                raise CommandError("standard output is closed") from None
            # Reading what is closed fails, which an empty input would hide.
            os.open(os.devnull, os.O_WRONLY)
    # An old locale must not end a command that has only a word to say.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
