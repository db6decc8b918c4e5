"""`asyncinvoke runs set`, `pause`, `unpause` and `stop`: what is wished of a run, and its answer."""

import time
from collections.abc import Callable
from dataclasses import replace

import click

from asyncinvoke import Tolerance
from asyncinvoke.cli.errors import FAILED, CommandError, one_line
from asyncinvoke.cli.map.settings import parse_tolerance
from asyncinvoke.cli.runs.group import opened_run, run_argument, runs
from asyncinvoke.cli.runs.obeying import ANSWER
from asyncinvoke.cli.runs.wishes import (
    Wishes,
    WishesError,
    read_wishes,
    wishes_path,
    write_wishes,
)
from asyncinvoke.runs import RecordedRun

PATIENCE = 10.0
"""Seconds to wait for the answer of a run that is under way."""

LOOKS = 0.1


@runs.command("set", short_help="Change the concurrency or the tolerance of a run.")
@run_argument
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    metavar="N",
    help="Items worked upon at once; at most 1,000 of them are in flight, unless it was started with more.",
)
@click.option(
    "--tolerate", metavar="N|P%|none", help="How much may fail; what has failed so far counts."
)
def set_(path: str, concurrency: int | None, tolerate: str | None) -> None:
    """Change how RUN runs, while it runs; or how its next session will."""
    if concurrency is None and tolerate is None:
        raise CommandError("nothing to set: give --concurrency, --tolerate, or both")
    if tolerate is not None:
        _checked(tolerate)

    def change(wishes: Wishes) -> Wishes:
        return replace(
            wishes,
            concurrency=wishes.concurrency if concurrency is None else concurrency,
            tolerate=wishes.tolerate if tolerate is None else tolerate,
        )

    said = [f"concurrency {concurrency:,}"] * (concurrency is not None)
    said += [f"tolerated: {tolerate}"] * (tolerate is not None)
    _wish(path, change, ", ".join(said))


@runs.command(short_help="Start nothing more, until unpause.")
@run_argument
def pause(path: str) -> None:
    """Let RUN start nothing more until `unpause`; what is in flight ends."""
    _wish(path, lambda wishes: replace(wishes, paused=True), "paused")


@runs.command(short_help="Go on after pause.")
@run_argument
def unpause(path: str) -> None:
    """Let RUN go on after `pause`."""
    _wish(path, lambda wishes: replace(wishes, paused=False), "goes on")


@runs.command(short_help="Stop a run; the same command continues it.")
@run_argument
@click.option("--now", is_flag=True, help="Leave what is in flight, recorded as what may have run.")
def stop(path: str, now: bool) -> None:
    """Stop RUN where it is under way: nothing starts, and what is in flight ends.

    Its process ends with exit status 3. The same command continues it.
    """
    with opened_run(path) as run:
        summary = run.summary()
        if not summary.running:
            raise CommandError(f"{path}: it is not running")
        session = summary.sessions[-1].number
        how = "now" if now else "drain"
        wishes = _written(path, lambda wishes: replace(wishes, stop=how, stop_session=session))
        _await_answer(run, path, wishes)
    click.echo("stops now" if now else "stops once what is in flight has ended")


def _checked(tolerate: str) -> Tolerance | None:
    try:
        return parse_tolerance(tolerate)
    except ValueError as error:
        raise CommandError(f"--tolerate: {error}") from None


def _wish(path: str, change: Callable[[Wishes], Wishes], said: str) -> None:
    with opened_run(path) as run:
        wishes = _written(path, change)
        if not run.summary().running:
            click.echo(f"{said}, from its next session on: it is not running")
            return
        _await_answer(run, path, wishes)
    click.echo(said)


def _written(path: str, change: Callable[[Wishes], Wishes]) -> Wishes:
    control = wishes_path(path)
    try:
        try:
            before = read_wishes(control)
        except WishesError as error:
            raise CommandError(f"{control}: {error}: remove it, and wish again") from None
        wishes = change(replace(before, number=before.number + 1))
        write_wishes(control, wishes)
    except OSError as error:
        raise CommandError(f"cannot write {control}: {one_line(str(error.strerror))}") from error
    return wishes


def _await_answer(run: RecordedRun, path: str, wishes: Wishes) -> None:
    """Wait until the run has obeyed, or has ended meanwhile."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        answer = run.summary().notes.get(ANSWER)
        if isinstance(answer, dict) and answer.get("number") == wishes.number:
            return
        if not run.summary().running:
            return
        time.sleep(LOOKS)
    raise CommandError(
        f"{path}: the run has not answered for {PATIENCE:g} s; it may still do what is wished",
        status=FAILED,
    )
