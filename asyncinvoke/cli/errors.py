"""From an error to one line on stderr and an exit status."""

import contextlib
import sys

import click

FAILED = 1
"""Some invocations failed, or their results could not be written."""

WRONG_USAGE = 2
"""The command line or the configuration is wrong; nothing was sent."""

STOPPED = 3
"""A run was stopped before its end: more failed than is tolerated, or every call for one reason."""

IN_DOUBT = 4
"""A run has ended, and of some of its failures it is not known whether the function ran."""

INTERRUPTED = 130
"""Ended by Ctrl-C, as shells say it: 128 and the signal's number."""

BROKEN_PIPE = 141
"""The reader of the output went away, as shells say it."""

_LONGEST = 1000


class CommandError(Exception):
    """Ends the command with one line and an exit status."""

    def __init__(self, message: str, *, status: int = WRONG_USAGE) -> None:
        super().__init__(message)
        self.status = status


def complain(error: Exception) -> int:
    """Write the line for an error; give the exit status.

    An error that none of our own stands for is a fault of ours, which `python -X dev` shows whole.
    """
    described = _described(error)
    if described is None:
        if sys.flags.dev_mode:
            raise error
        name = type(error).__name__
        described = (
            f"internal: {name}: {error} (python -X dev -m asyncinvoke ... shows where)",
            FAILED,
        )
    message, status = described
    with contextlib.suppress(OSError):  # nobody may be reading any more
        click.echo(f"asyncinvoke: error: {one_line(message)}", err=True)
    return status


def one_line(text: str, *, longest: int = _LONGEST) -> str:
    """Make text that others wrote fit for a terminal: one line, no control codes, not endless."""
    line = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _described(error: Exception) -> tuple[str, int] | None:
    # Imported only now, so that `--help` and wrong usage are quick.
    from asyncinvoke import (
        ConfigurationError,
        InvalidRequestError,
        InvocationError,
        JournalError,
        ToleranceExceededError,
    )
    from asyncinvoke._inputs.formats import InputError
    from asyncinvoke._outputs.files import OutputError

    match error:
        case CommandError():
            return str(error), error.status
        case click.UsageError() if error.ctx is not None:
            return f"{error.format_message()} (see {error.ctx.command_path} --help)", WRONG_USAGE
        case click.ClickException():
            return error.format_message(), WRONG_USAGE
        case ConfigurationError() | InvalidRequestError() | JournalError():
            return str(error), WRONG_USAGE
        case ToleranceExceededError():
            return str(error), STOPPED
        case InvocationError() | InputError() | OutputError():
            return str(error), FAILED
        case OSError() if error.strerror:
            where = f"{error.filename}: " if isinstance(error.filename, str) else ""
            return where + error.strerror, FAILED
        case _:
            return None
