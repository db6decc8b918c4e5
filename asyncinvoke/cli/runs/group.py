"""The group `runs`, and what its commands share: the argument that names a run."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

import click

from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.habits import Group
from asyncinvoke.runs import RecordedRun, RunSummary, open_run

F = TypeVar("F", bound=Callable[..., Any])


@click.group("runs", cls=Group, short_help="Inspect, control and redrive recorded runs.")
def runs() -> None:
    """Inspect, control and redrive runs recorded by `map --journal RUN`.

    Inspecting a run of any size is safe at any time, even while it is in progress.
    """


def run_argument(command: F) -> F:
    """Add the argument that names the run."""
    return click.argument("path", metavar="RUN", type=click.Path(readable=False))(command)


@contextlib.contextmanager
def opened_run(path: str) -> Iterator[RecordedRun]:
    """Open a recorded run for the duration of the block.

    Raises:
        JournalError: The file does not exist, or is not a journal.
    """
    if not path:
        raise CommandError("RUN must be the journal of a recorded run")
    with open_run(path) as run:
        yield run


def check_named(path: str, summary: RunSummary, positions: Collection[int]) -> None:
    """Check that no item of a run with keys is named by a position.

    There, an item is recorded in the next free row, which need not be its position in the input.

    Raises:
        CommandError: One is.
    """
    if positions and summary.keyed:
        raise CommandError(f"{path}: the run has keys: use --key in place of --item")
