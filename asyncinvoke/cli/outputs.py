"""Where outcomes go that are written once: standard output, or a file that is new or replaced."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from asyncinvoke.cli import streams
from asyncinvoke.cli.errors import CommandError


def check_new_output(output: str | None, *, force: bool) -> None:
    """Check that an output is new, before anything is sent.

    Raises:
        CommandError: It is there, and not to be replaced.
    """
    if output is None or output == "-":
        return
    try:
        if Path(output).is_file() and not force:
            raise CommandError(f"output {output} exists: --force replaces it")
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror}") from error


@contextlib.contextmanager
def opened_output(output: str | None) -> Iterator[streams.Output]:
    """Open an output for as long as the block lasts; what is there is replaced.

    Raises:
        CommandError: It cannot be opened.
    """
    if output is None or output == "-":
        yield streams.standard_output()
        return
    try:
        file = Path(output).open("wb", buffering=0)  # noqa: SIM115  # closed below
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror}") from error
    with file:
        yield streams.Output(file.fileno(), output, is_ours=True)
