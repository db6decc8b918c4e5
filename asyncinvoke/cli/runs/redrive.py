"""`asyncinvoke runs redrive` and `runs settle`: run failed items again, record whether items ran."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from asyncinvoke import Redrive
from asyncinvoke._report.standing import causes_of_lost, pending_of
from asyncinvoke.cli.errors import CommandError, printable
from asyncinvoke.cli.map.output_state import NOTE, is_behind
from asyncinvoke.cli.map.progress import counted
from asyncinvoke.cli.map.settings import COMMAND, Bulk
from asyncinvoke.cli.runs.choice import Choice
from asyncinvoke.cli.runs.control_file import control_path, drop_settings
from asyncinvoke.cli.runs.group import check_named, opened_run, run_argument, runs
from asyncinvoke.cli.runs.parts import check_whole
from asyncinvoke.cli.streams import STDIN
from asyncinvoke.cli.values import WholeNumber
from asyncinvoke.runs import RunSummary
from asyncinvoke.runs import settle as record


@runs.command(short_help="Run failed items again.")
@run_argument
@click.option(
    "--cause",
    "causes",
    type=WholeNumber(1),
    multiple=True,
    metavar="N",
    help="Only items with this cause; `runs show` lists the causes.",
)
@click.option(
    "--error",
    "errors",
    multiple=True,
    metavar="CLASS",
    help="Only items with this exception class, such as FunctionError.",
)
@click.option(
    "--error-type",
    "error_types",
    multiple=True,
    metavar="TYPE",
    help="Only items whose function reported this errorType.",
)
@click.option(
    "--code",
    "codes",
    multiple=True,
    metavar="CODE",
    help="Only items with this error code of AWS or of the transport.",
)
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only the item with this key.")
@click.option(
    "--item",
    "positions",
    type=WholeNumber(0),
    multiple=True,
    metavar="N",
    help="Only the item at this position, counting from 0.",
)
@click.option(
    "--may-have-run",
    is_flag=True,
    help="Run the items that may have run, instead of those that failed. Asks for confirmation.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "-c",
    "--concurrency",
    type=WholeNumber(1),
    metavar="N",
    help="Number of items in progress at once.  [default: as before]",
)
@click.option(
    "--batch",
    type=WholeNumber(1),
    metavar="N",
    help="Send N lines per invocation; 1 isolates the line that fails its batch.  "
    "[default: as before]",
)
@click.option(
    "--progress", type=click.Choice(["auto", "bar", "json", "none"]), default="auto", hidden=True
)
def redrive(
    path: str,
    yes: bool,
    concurrency: int | None,
    batch: int | None,
    progress: str,
    **filters: Any,
) -> int:
    """Run failed items of RUN again: those that did not run, or ran and reported an error.

    Filters of one kind are alternatives; filters of different kinds must all match. Function,
    options, input and output are those of the run. Items that were not started yet run as well. New
    outcomes are appended to the output, with a "take" of 2 or more.
    """
    from asyncinvoke.cli.map.bulk_run import run_bulk
    from asyncinvoke.cli.map.whole_output import run_with_output

    choice = Choice(**filters)
    check_whole(path)
    with opened_run(path) as run:
        summary = run.summary()
        check_named(path, summary, choice.positions)
        causes = (*run.causes(), *causes_of_lost(run.lost()))
        number = choice.count(run, summary, choice.chosen(causes))
        ends = run.ends()
    bulk = _bulk_of(summary, path)
    if not number and choice.is_all:
        nothing = f"{path}: {'no item is in doubt' if choice.may_have_run else 'nothing failed'}"
        # An earlier redrive may have recorded outcomes that it could not write.
        if pending_of(summary) != 0 or not is_behind(
            summary.notes.get(NOTE), bulk.output, ends=ends
        ):
            click.echo(printable(nothing), err=True)
            return 0
        click.echo(printable(f"{nothing}; completing {bulk.output}"), err=True)
    elif not number:
        raise CommandError(f"{path}: no failed item matches: see asyncinvoke runs show {path}")
    if batch is not None and bulk.batch is None:
        raise CommandError(f"{path}: --batch does not apply: the run was not batched")
    _check_input(bulk, path)
    if choice.may_have_run and number and not yes:
        _ask(path, number)
    if concurrency is not None:
        drop_settings(control_path(path), concurrency=True, tolerate=False)
    # Includes items that have no outcome in the journal.
    is_simple = choice.is_all and choice.may_have_run
    return run_with_output(
        replace(
            bulk,
            redrive=Redrive.MAY_HAVE_RUN if is_simple else choice.matches(causes),
            concurrency=bulk.concurrency if concurrency is None else concurrency,
            batch=bulk.batch if batch is None else batch,
            ordered=False,
            progress=progress,
        ),
        run_bulk,
    )


def _bulk_of(summary: RunSummary, path: str) -> Bulk:
    """Return the settings with which a run was started."""
    if summary.running:
        raise CommandError(f"{path}: it is running: redrive it when it has ended")
    note = summary.notes.get(COMMAND)
    if not isinstance(note, dict):
        raise CommandError(
            f"{path}: it was not started by `asyncinvoke map`: "
            "redrive it with Journal(path, redrive=Redrive.FAILED)"
        )
    return Bulk.from_note(note, path)


@runs.command(short_help="Record whether items ran.")
@run_argument
@click.option(
    "--key", "keys", multiple=True, metavar="KEY", help="The item with this key; may be repeated."
)
@click.option(
    "--item",
    "items",
    type=WholeNumber(0),
    multiple=True,
    metavar="N",
    help="The item at this position, counting from 0; may be repeated.",
)
@click.option("--ran/--did-not-run", "ran", default=None, help="Whether the items ran.")
def settle(path: str, keys: tuple[str, ...], items: tuple[int, ...], ran: bool | None) -> None:
    """Record whether items of RUN that may have run did run: all of those named, or none.

    Items that ran count as settled. Those that did not run are run when the run is continued.
    """
    if bool(keys) == bool(items):
        raise CommandError("give either --key or --item")
    if ran is None:
        raise CommandError("give --ran or --did-not-run")
    check_whole(path)
    record(path, ran=ran, position=items or None, key=keys or None)
    said = "it ran" if ran else "it did not run; the same command runs it"
    for named in (*(f"item {item}" for item in items), *(f"key {key!r}" for key in keys)):
        click.echo(printable(f"{named}: {said}"))


def _check_input(bulk: Bulk, path: str) -> None:
    if bulk.source == "-":
        if os.isatty(STDIN):
            raise CommandError(f"{path}: its input was standard input: pipe in the same input")
    elif "://" not in bulk.source and not Path(bulk.source).exists():
        raise CommandError(f"{path}: its input {bulk.source} does not exist")


def _ask(path: str, number: int) -> None:
    question = f"{path}: {counted(number, 'item')} may have run. Run them again?"
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Check them first, then add --yes")
    if not click.confirm(question, err=True):
        raise CommandError("nothing was run")
