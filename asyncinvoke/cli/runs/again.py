"""`asyncinvoke runs redrive` and `runs settle`: run failed items again, record what is known of one."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from asyncinvoke import FunctionError, InvocationError, Outcome, Redrive
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.map.progress import counted
from asyncinvoke.cli.map.settings import COMMAND, Bulk
from asyncinvoke.cli.runs.group import opened_run, run_argument, runs
from asyncinvoke.cli.runs.parts import check_whole
from asyncinvoke.cli.streams import STDIN
from asyncinvoke.cli.values import WholeNumber
from asyncinvoke.runs import RecordedCause
from asyncinvoke.runs import settle as record


@runs.command(short_help="Run again what failed.")
@run_argument
@click.option(
    "--cause", type=WholeNumber(1), multiple=True, metavar="N", help="Those of this cause."
)
@click.option("--error", multiple=True, metavar="CLASS", help="Such as FunctionError.")
@click.option("--error-type", multiple=True, metavar="TYPE", help="The function's own name for it.")
@click.option("--code", multiple=True, metavar="CODE", help="AWS's, or the transport's.")
@click.option("--key", multiple=True, metavar="KEY", help="The item with this key.")
@click.option("--item", type=WholeNumber(0), multiple=True, metavar="N", help="The item there.")
@click.option(
    "--may-have-run",
    is_flag=True,
    help="What may have run, in place of what surely did not or said that it failed. Asks first.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("-c", "--concurrency", type=WholeNumber(1), metavar="N", help="[as before]")
@click.option(
    "--batch",
    type=WholeNumber(1),
    metavar="N",
    help="So many lines in one invocation: 1 finds the one that fails its batch.  [as before]",
)
@click.option(
    "--progress", type=click.Choice(["auto", "bar", "json", "none"]), default="auto", hidden=True
)
def redrive(
    path: str,
    cause: tuple[int, ...],
    error: tuple[str, ...],
    error_type: tuple[str, ...],
    code: tuple[str, ...],
    key: tuple[str, ...],
    item: tuple[int, ...],
    may_have_run: bool,
    yes: bool,
    concurrency: int | None,
    batch: int | None,
    progress: str,
) -> int:
    """Run again what failed in RUN and surely did not run, or ran and said so.

    Function, options, input and output are those of the run. What was not started yet is run, too.
    An output gets a line for each new outcome behind those that it has; their "take" is 2 or more.
    """
    from asyncinvoke.cli.map.bulk_run import run_bulk
    from asyncinvoke.cli.map.outputs import run_with_output

    choice = Choice(
        causes=cause,
        errors=error,
        error_types=error_type,
        codes=code,
        keys=key,
        positions=item,
        may_have_run=may_have_run,
    )
    check_whole(path)
    with opened_run(path) as run:
        summary, causes = run.summary(), run.causes()
        if summary.running:
            raise CommandError(f"{path}: it is running: it can be redriven once it has ended")
        note = summary.notes.get(COMMAND)
        if not isinstance(note, dict):
            raise CommandError(
                f"{path}: it was not started by `asyncinvoke map`: "
                "redrive it with Journal(path, redrive=Redrive.FAILED)"
            )
        chosen = choice.chosen(causes)
        is_all = not (cause or error or error_type or code or key or item)
        number = summary.may_have_run if may_have_run else sum(each.count for each in chosen)
    bulk = Bulk.from_note(note, path)
    if not number and is_all:
        click.echo(f"{path}: nothing {'may have run' if may_have_run else 'failed'}", err=True)
        return 0
    if not chosen and not is_all:
        raise CommandError(
            f"{path}: nothing that failed is like that: asyncinvoke runs show {path}"
        )
    if batch is not None and bulk.batch is None:
        raise CommandError(f"{path}: its lines are sent one by one: --batch has no meaning for it")
    _check_input(bulk, path)
    if may_have_run and not yes:
        _ask(path, number if is_all else sum(each.count for each in chosen))
    is_simple = is_all and may_have_run  # and those of which the journal has no outcome yet
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


@runs.command(short_help="Record what you have found out about an item.")
@run_argument
@click.option("--key", metavar="KEY", help="The item with this key.")
@click.option("--item", type=WholeNumber(0), metavar="N", help="The item there.")
@click.option("--ran/--did-not-run", "ran", default=None, help="What you have found out.")
def settle(path: str, key: str | None, item: int | None, ran: bool | None) -> None:
    """Record of an item of RUN that may have run whether it did.

    One that ran counts as settled. One that did not runs when the run is continued.
    """
    if (key is None) == (item is None):
        raise CommandError("which one? give --key or --item")
    if ran is None:
        raise CommandError("did it? give --ran or --did-not-run")
    record(path, ran=ran, position=item, key=key)
    named = f"item {item}" if key is None else f"key {key!r}"
    click.echo(f"{named}: it ran" if ran else f"{named}: it did not run; the same command runs it")


def _check_input(bulk: Bulk, path: str) -> None:
    if bulk.source == "-":
        if os.isatty(STDIN):
            raise CommandError(f"{path}: its input was standard input: pipe the same in again")
    elif "://" not in bulk.source and not Path(bulk.source).exists():
        raise CommandError(f"{path}: its input {bulk.source} is not there")


def _ask(path: str, number: int) -> None:
    question = f"{path}: {counted(number, 'item')} may have run. Run them again?"
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Look first, and add --yes")
    if not click.confirm(question, err=True):
        raise CommandError("nothing was run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What `runs redrive` was told; within a kind any will do, and all kinds must agree."""

    causes: tuple[int, ...] = ()
    errors: tuple[str, ...] = ()
    error_types: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    positions: tuple[int, ...] = ()
    may_have_run: bool = False
    """Whether it is what may have run that runs again; else what surely did not, or said so."""

    def chosen(self, causes: Sequence[RecordedCause]) -> tuple[RecordedCause, ...]:
        """Return those causes whose items run again, as far as causes tell.

        Raises:
            CommandError: One was named that the run does not have, or that may have run.
        """
        known = {cause.number: cause for cause in causes}
        for number in self.causes:
            cause = known.get(number)
            if cause is None:
                numbers = ", ".join(map(str, sorted(known))) or "none"
                raise CommandError(f"--cause {number}: there is no such cause; there are {numbers}")
            if (cause.delivery == "unknown") != self.may_have_run:
                raise CommandError(
                    f"--cause {number}: its items may have run: look, and add --may-have-run"
                    if cause.delivery == "unknown"
                    else f"--cause {number}: its items surely did not run, or said that they "
                    "failed: leave --may-have-run out"
                )
        return tuple(cause for cause in causes if self._has_cause(cause))

    def matches(self, causes: Sequence[RecordedCause]) -> Callable[[Outcome[Any]], bool]:
        """Return what says of a recorded outcome whether its item runs again."""
        wanted = {_key(cause) for cause in self.chosen(causes)}

        def is_chosen(outcome: Outcome[Any]) -> bool:
            if self.keys and outcome.key not in self.keys:
                return False
            if self.positions and outcome.index not in self.positions:
                return False
            return _key_of(outcome) in wanted

        return is_chosen

    def _has_cause(self, cause: RecordedCause) -> bool:
        return (
            (cause.delivery == "unknown") == self.may_have_run
            and (not self.causes or cause.number in self.causes)
            and (not self.errors or cause.error in self.errors)
            and (not self.error_types or cause.error_type in self.error_types)
            and (not self.codes or cause.code in self.codes)
        )


def _key(cause: RecordedCause) -> tuple[str | None, ...]:
    return cause.error, cause.code, cause.error_type, cause.delivery, cause.gave_up


def _key_of(outcome: Outcome[Any]) -> tuple[str | None, ...]:
    error = outcome.error
    if not isinstance(error, InvocationError):
        return type(error).__name__, None, None, None, None
    return (
        type(error).__name__,
        None if error.code is None else str(error.code),
        error.error_type if isinstance(error, FunctionError) else None,
        error.delivery.value,
        None if error.gave_up is None else error.gave_up.value,
    )
