"""`asyncinvoke runs show` and `runs watch`: the progress of a run, its failures, one of its items."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import click

from asyncinvoke import Outcome
from asyncinvoke._inputs.files import name_of
from asyncinvoke._report.standing import pending_of, total_of
from asyncinvoke.cli.errors import FAILED, CommandError
from asyncinvoke.cli.map.settings import COMMAND
from asyncinvoke.cli.runs.control_file import ControlFileError, control_path, read_request
from asyncinvoke.cli.runs.group import check_named, run_argument, runs
from asyncinvoke.cli.runs.parts import controlled_journals, whole_of
from asyncinvoke.cli.runs.view import held_back, item_lines, summary_lines
from asyncinvoke.cli.runs.whole import ReadableRun, opened_whole
from asyncinvoke.cli.values import WholeNumber
from asyncinvoke.runs import RecordedItem, RunSummary, Sample

LOOKS = 0.5
"""Seconds between two updates of `runs watch`."""


@runs.command(short_help="Show the progress and failures of a run.")
@run_argument
@click.option(
    "--item", type=WholeNumber(0), metavar="N", help="Show only the item at this position."
)
@click.option("--key", metavar="KEY", help="Show only the item with this key.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--check", is_flag=True, help="Verify every page and count of the file first.")
def show(path: str, item: int | None, key: str | None, as_json: bool, check: bool) -> None:
    """Show the progress of RUN, its failures and their causes, and the process running it."""
    if item is not None and key is not None:
        raise CommandError("give either --item or --key, not both")
    with opened_whole(path) as run:
        if check and (found := run.check()):
            raise CommandError(f"{path}: it is damaged: {'; '.join(found)}", status=FAILED)
        if item is None and key is None:
            said = _json_of(run) if as_json else "\n".join(_lines_of(run))
        else:
            check_named(path, run.summary(), () if item is None else (item,))
            recorded = run.item(position=item, key=key)
            if recorded is None:
                named = f"key {key!r}" if item is None else f"item {item}"
                raise CommandError(f"{path}: nothing is recorded for {named}")
            outcome = run.outcome(position=item, key=key)
            said = _item(run, recorded, outcome, as_json=as_json)
    click.echo(said)


@runs.command(short_help="Follow the progress of a running run.")
@run_argument
def watch(path: str) -> None:
    """Show the live progress of RUN, running in another process, until it ends."""
    from asyncinvoke.cli.map.live import Screen, bar_or_lines
    from asyncinvoke.cli.map.pace import Pace
    from asyncinvoke.cli.map.progress import Counts

    with opened_whole(path) as run:
        display, pace = bar_or_lines(Screen(stderr=True)), Pace()
        try:
            first = run.summary().ended
            while True:
                summary, sample = run.summary(), run.latest_sample()
                elapsed = _elapsed(summary, sample, time.time())
                done = summary.ended - first
                limit = 0 if sample is None else sample.limit
                rate, expected = pace.at(elapsed, done, limit)
                display.show(
                    Counts(
                        elapsed=elapsed,
                        succeeded=summary.succeeded,
                        failed=summary.failed + summary.may_have_run + summary.settled,
                        in_flight=sample.in_flight if sample and summary.running else 0,
                        throttles=summary.throttled,
                        total=total_of(summary),
                        rate=rate,
                        pace=expected,
                        held_back=held_back(summary),
                    )
                )
                if not summary.running:
                    break
                time.sleep(max(LOOKS, display.interval))
        finally:
            display.close()
        click.echo("\n".join(_lines_of(run)))


def _elapsed(summary: RunSummary, sample: Sample | None, now: float) -> float:
    """Return how long the last session has taken, in seconds; 0 if the clock was set back."""
    if not summary.sessions:
        return 0.0
    last = summary.sessions[-1]
    until = last.ended
    if until is None and summary.running:
        until = now
    elif until is None:  # it was killed some time after its last sample
        until = last.started if sample is None else sample.at
    return max(until - last.started, 0.0)


def _lines_of(run: ReadableRun) -> list[str]:
    summary = run.summary()
    return summary_lines(
        summary,
        run.causes(),
        sample=run.latest_sample(),
        now=time.time(),
        width=_width(),
        whole=whole_of(summary.path),
        paused=not summary.running and _is_paused(summary.path),
    )


def _is_paused(path: str) -> bool:
    """Return whether the next session of a run, or of each of its parts, would begin paused."""
    try:
        return all(read_request(control_path(each)).paused for each in controlled_journals(path))
    except (ControlFileError, OSError):
        return False  # a session would not obey it either


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):  # 0 stands for unknown
        return int(columns)
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100


def _json_of(run: ReadableRun) -> str:
    summary = run.summary()
    sample = run.latest_sample()
    said = asdict(summary)
    said["identity"].pop("client_context", None)  # private to the caller; never shown
    match said["notes"].get(COMMAND):
        case dict(command):
            _name_all(command, ("source", "source_path", "output", "whole_output"))
            if isinstance(shared := command.get("shared"), dict):
                shared.pop("client_context", None)
                _name_all(shared, ("endpoint_url",))
    about: dict[str, Any] = {
        **said,
        "ended": summary.ended,
        "not_started": pending_of(summary),
        "causes": [asdict(cause) for cause in run.causes()],
        "sample": None if sample is None else asdict(sample),
    }
    return json.dumps(about, indent=2)


def _name_all(kept: dict[str, Any], names: Iterable[str]) -> None:
    """Strip potential secrets from URLs; the journal keeps them, to repeat the run."""
    for name in names:
        if isinstance(kept.get(name), str) and "://" in kept[name]:
            kept[name] = name_of(kept[name])


def _item(
    run: ReadableRun, item: RecordedItem, outcome: Outcome[Any] | None, *, as_json: bool
) -> str:
    cause = next((each for each in run.causes() if each.number == item.cause), None)
    if not as_json:
        return "\n".join(item_lines(item, outcome, cause, keyed=run.summary().keyed))
    error = None if outcome is None or outcome.error is None else str(outcome.error)
    return json.dumps(
        {
            **asdict(item),
            "cause": None if cause is None else asdict(cause),
            "error": error,
        },
        indent=2,
    )
