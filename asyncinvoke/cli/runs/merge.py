"""`asyncinvoke runs merge`: merges the journals of shards into one run."""

from collections.abc import Sequence
from typing import Any

import click

from asyncinvoke._report.standing import TOTAL, total_of_all, unrecorded_note
from asyncinvoke.cli.errors import IN_DOUBT, STOPPED, one_line, printable
from asyncinvoke.cli.map.progress import counted
from asyncinvoke.cli.map.settings import COMMAND
from asyncinvoke.cli.runs.group import opened_run, runs
from asyncinvoke.cli.terminated import raised_signals
from asyncinvoke.runs import Merged
from asyncinvoke.runs import merge as merge_runs

NAMED = 10
"""The maximum number of items that ran twice to list."""

LONGEST = 60
"""The maximum length of a key in that list, in characters."""


@runs.command(short_help="Merge the journals of shards.")
@click.argument("out", metavar="OUT", type=click.Path(readable=False))
@click.argument("parts", metavar="RUN...", type=click.Path(readable=False), nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
def merge(out: str, parts: tuple[str, ...], force: bool) -> int:
    """Merge the journals of shards into one run, OUT, without changing them.

    OUT can be shown, exported, redriven and continued without --shard. If an item is in two runs,
    success wins over failure, a known outcome over an unknown one, and a later one over an earlier
    one. Items that ran twice are listed. The exit status is 4 if there are any, and 3 if shards are
    missing.
    """
    with raised_signals():
        merged = merge_runs(out, parts, replace=force, notes=shared_notes(parts))
    for line in report_lines(merged):
        click.echo(line, err=True)
    return status_of(merged)


def shared_notes(parts: Sequence[str]) -> dict[str, object]:
    """Return the notes of the merged run: how to start it, and its number of items if known."""
    summaries = []
    command: dict[str, Any] | None = None
    for part in parts:
        with opened_run(part) as run:
            summary = run.summary()
        notes = summary.notes
        noted = notes.get(COMMAND)
        summaries.append(summary)
        if isinstance(noted, dict) and command is None:
            command = {**noted, "shard": None, "output": None, "whole_output": None}
    shared: dict[str, object] = {} if command is None else {COMMAND: command}
    shared |= unrecorded_note(summaries)
    shared[TOTAL] = total_of_all(summaries)  # in place of that of a part, also where it is unknown
    return shared


def report_lines(merged: Merged) -> list[str]:
    """Return the report of a merge: a summary line, and a line for each problem."""
    said = [f"{merged.path}: {merged.items:,} items of {counted(merged.parts, 'run')}"]
    if merged.ran_twice:
        named = ", ".join(one_line(repr(each), longest=LONGEST) for each in merged.twice[:NAMED])
        more = ", ..." if merged.ran_twice > NAMED else ""
        what = counted(merged.ran_twice, "item")
        said.append(f"{what} ran twice, or may have, in two of the runs: {named}{more}")
    if merged.missing:
        noun = "shard" if len(merged.missing) == 1 else "shards"
        said.append(f"missing: {noun} {', '.join(merged.missing)}")
    return list(map(printable, said))


def status_of(merged: Merged) -> int:
    """Return the exit status."""
    if merged.ran_twice:
        return IN_DOUBT
    return STOPPED if merged.missing else 0
