"""The group `runs`, and what its commands share: the argument that names a run."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.habits import Group
from asyncinvoke.runs import RecordedRun, open_run

F = TypeVar("F", bound=Callable[..., Any])


@click.group("runs", cls=Group, short_help="Look at recorded runs, steer and repeat them.")
def runs() -> None:
    """Look at runs that `map --journal RUN` has recorded, steer them, and repeat what failed.

    Looking disturbs nothing: it is possible while the run goes on, and at any size.
    """


def run_argument(command: F) -> F:
    """Add the argument that names the run."""
    return click.argument("path", metavar="RUN", type=click.Path(readable=False))(command)


@contextlib.contextmanager
def opened_run(path: str) -> Iterator[RecordedRun]:
    """Open a recorded run for as long as the block lasts.

    Raises:
        JournalError: It is not there, or is something else.
    """
    if not path:
        raise CommandError("RUN must be the file of a recorded run")
    with open_run(path) as run:
        yield run
