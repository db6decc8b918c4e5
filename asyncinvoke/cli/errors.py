"""From an error to one line on stderr and an exit status."""

import contextlib
import os
import sys

import click

FAILED = 1
"""Some invocations failed, or their results could not be written."""

WRONG_USAGE = 2
"""The command line or the configuration is wrong; nothing was sent."""

STOPPED = 3
"""A run stopped early: the tolerance was exceeded, or every call failed for the same reason."""

IN_DOUBT = 4
"""A run finished, but for some of its failures it is unknown whether the function ran."""

INTERRUPTED = 130
"""Interrupted by Ctrl-C, by shell convention: 128 plus the signal number."""

BROKEN_PIPE = 141
"""The reader closed the output, by shell convention: 128 plus the number of SIGPIPE."""

_LONGEST = 1000


class CommandError(Exception):
    """Ends the command with one line and an exit status."""

    def __init__(self, message: str, *, status: int = WRONG_USAGE) -> None:
        super().__init__(message)
        self.status = status


def complain(error: Exception) -> int:
    """Print one line for an error, and return the exit status.

    An unexpected exception is a bug in this package; `python -X dev` shows its traceback.
    """
    described = _described(error)
    if described is None:
        if sys.flags.dev_mode:
            raise error
        name = type(error).__name__
        described = (
            f"internal: {name}: {error} (python -X dev -m asyncinvoke ... shows a traceback)",
            FAILED,
        )
    message, status = described
    with contextlib.suppress(OSError):  # stderr may be closed
        click.echo(f"asyncinvoke: error: {one_line(message)}", err=True)
    return status


def one_line(text: str, *, longest: int = _LONGEST) -> str:
    """Return untrusted text made safe for a terminal: one line, no control codes, truncated."""
    return printable(" ".join(text.split()), longest=longest)


def say(*lines: str) -> None:
    """Print lines on stderr, with untrusted parts such as names of files made safe for a terminal."""
    click.echo("\n".join(map(printable, lines)), err=True)


def printable(line: str, *, longest: int = _LONGEST) -> str:
    """Return a line with untrusted parts made safe for a terminal, its blanks kept, truncated."""
    # One more than is shown is enough to tell whether it is longer: the line may have megabytes.
    shown = "".join(c if c.isprintable() else "\ufffd" for c in line[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _described(error: Exception) -> tuple[str, int] | None:
    # Imported late, to keep `--help` and usage errors fast.
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
        case ModuleNotFoundError() if not str(error.name).startswith("asyncinvoke"):
            # Such as a Python that was built without SQLite.
            return f"the installation is incomplete: {error}", WRONG_USAGE
        case FileNotFoundError() if error.filename is None and not _is_anywhere():
            return "the current directory was deleted", WRONG_USAGE
        case RuntimeError() if str(error) == "can't start new thread":
            limits = "see ulimit -u, or the limit of the container"
            return f"the system allows this process no more threads: {limits}", FAILED
        case OSError() if error.strerror:
            where = f"{error.filename}: " if isinstance(error.filename, str) else ""
            return where + error.strerror, FAILED
        case _:
            return None


def _is_anywhere() -> bool:
    """Return whether the current directory is still there."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True
