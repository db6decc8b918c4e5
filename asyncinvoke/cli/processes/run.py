"""Runs a bulk run on several processes, from its settings to its exit status."""

import contextlib
import json
import os
import stat
from collections.abc import Iterable
from dataclasses import replace

import click

from asyncinvoke import JournalError
from asyncinvoke._outputs.files import Kind, OutputError, real_name
from asyncinvoke.cli import open_files, streams
from asyncinvoke.cli.errors import FAILED, STOPPED, WRONG_USAGE, CommandError, say
from asyncinvoke.cli.map import ending, summary
from asyncinvoke.cli.map.bulk_run import run_bulk
from asyncinvoke.cli.map.ending import closing_lines, exit_status, incomplete_lines
from asyncinvoke.cli.map.outcomes import as_line
from asyncinvoke.cli.map.output_state import NOTE, OutputState, check_output
from asyncinvoke.cli.map.outputs import (
    awaited_output,
    check_new_output,
    check_not_the_input,
    check_not_the_journal,
    is_stream,
    opened_output,
)
from asyncinvoke.cli.map.progress import as_json
from asyncinvoke.cli.map.reporter import choose_display
from asyncinvoke.cli.map.settings import COMMAND, Bulk
from asyncinvoke.cli.map.source import LineNumbers
from asyncinvoke.cli.map.summary import Remaining
from asyncinvoke.cli.map.whole_output import write_lines
from asyncinvoke.cli.processes.children import Children, report_failed_starts
from asyncinvoke.cli.processes.dividing import check, divided, is_one, worst
from asyncinvoke.cli.running import Interrupt, run
from asyncinvoke.cli.runs.merge import report_lines, shared_notes
from asyncinvoke.runs import RunSummary, is_begun, merge, open_run


def run_processes(bulk: Bulk, processes: int) -> int:
    """Run a bulk run on several processes; return the exit status."""
    check(bulk, processes)
    if is_one(bulk.journal):
        say(f"{bulk.journal}: it was redriven or settled, and continues as one process")
        return run_bulk(bulk)
    open_files.raise_open_files()
    open_files.check_open_files(processes=processes)

    async def main(interrupt: Interrupt) -> int:
        is_live = bulk.journal is None
        check_not_the_input(bulk.output, bulk.source)
        for journal in (bulk.journal, *(part.journal for part in divided(bulk, processes))):
            check_not_the_journal(bulk.output, journal)
        _check_output(bulk)
        shared = streams.STDOUT if bulk.output == "-" or (is_live and bulk.output is None) else None
        display = choose_display(bulk.progress, writes_to=shared)
        async with contextlib.AsyncExitStack() as stack:
            at_once = None
            if is_live and bulk.output is not None and is_stream(bulk.output):
                at_once = await stack.enter_async_context(awaited_output(bulk.output))
            children = Children(
                divided(bulk, processes),
                display=display,
                # A file is opened when the first lines arrive: what is in it is kept until then.
                open_output=lambda: (
                    at_once or stack.enter_context(opened_output(bulk.output, status=FAILED))
                ),
                shared=streams.STDOUT if shared is not None and _is_a_file(shared) else None,
            )
            await children.run(interrupt, grace=0.0 if is_live else bulk.grace)
            report_failed_starts(children.statuses)
            if set(children.statuses.values()) == {WRONG_USAGE}:
                return WRONG_USAGE  # no process could start, and each has reported why
            if bulk.journal is None:
                # Before the output is closed, which may fail.
                _summarise(bulk, children, None, [])
                if children.failure is not None:
                    raise children.failure
                return worst(children.statuses.values())
        journals = [part.journal for part in divided(bulk, processes) if part.journal is not None]
        parts = [each for each in journals if is_begun(each)]
        try:
            return await _end(bulk, bulk.journal, parts, children)
        except JournalError as error:
            _summarise(bulk, children, None, [])
            # Status 2 would mean that nothing was sent.
            raise CommandError(
                f"{error}: the same command, or runs merge {bulk.journal} {' '.join(parts)}, "
                "retries it",
                status=FAILED,
            ) from error

    return run(main)


async def _end(bulk: Bulk, journal: str, parts: list[str], children: Children) -> int:
    """Merge the journals, write the output, and print the summary; return the exit status."""
    if not parts:
        return worst(children.statuses.values())
    notes = {**shared_notes(parts), COMMAND: {**bulk.as_note(), "ordered": False}}
    place = _place(bulk)
    if place is not None and (place.is_known or _are_complete(parts, of=len(children.statuses))):
        # Stored before the file is written. It records that the file belongs to this run, but not
        # how much of it is written: to continue the run is to write all of it again.
        notes[NOTE] = OutputState(path=place.path).as_note(LineNumbers())
    merged = merge(journal, parts, replace=True, notes=notes)
    with open_run(journal) as recorded:
        whole = recorded.summary()
    is_whole = whole.complete
    not_written: CommandError | None = None
    if is_whole and bulk.output is not None:
        try:
            await _write(journal, bulk.output)
        except CommandError as error:
            not_written = error
        else:
            for line in incomplete_lines(whole, bulk.output):
                say(line)
    told = [line for line in report_lines(merged)[1:] if merged.ran_twice]
    _summarise(bulk, children, whole, [*closing_lines(whole, verb=bulk.verb), *told])
    if not_written is not None:
        raise not_written
    if not is_whole and bulk.output is not None and bulk.output != "-":
        say(f"{bulk.output} will be written when the run is complete")
    is_stopped = STOPPED in children.statuses.values()
    failed = children.said.tally().failed
    status = exit_status(whole, failed=failed, is_stopped=is_stopped)
    statuses = list(children.statuses.values())
    if is_whole:
        # A process that could not start, as one whose part of the input has changed, is no success.
        return worst([status, *(each for each in statuses if each == WRONG_USAGE)])
    if not whole.may_have_run:  # the killed processes have left nothing in doubt
        statuses = [STOPPED if each < 0 else each for each in statuses]
    return worst([status, *statuses])


def _is_a_file(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _place(bulk: Bulk) -> OutputState | None:
    """Return the journal's note on the output; `None` if it is not a file that can be continued."""
    output = bulk.output
    if bulk.journal is None or output is None or output == "-" or is_stream(output):
        return None
    note = None
    if is_begun(bulk.journal):
        with open_run(bulk.journal) as recorded:
            note = recorded.summary().notes.get(NOTE)
    return OutputState.from_note(note, real_name(output))


def _check_output(bulk: Bulk) -> None:
    place = _place(bulk)
    if place is None or bulk.output is None:
        check_new_output(bulk.output, force=bulk.force)
    else:
        check_output(bulk.output, place, force=bulk.force)


def _are_complete(parts: list[str], *, of: int) -> bool:
    for part in parts:
        with open_run(part) as recorded:
            if not recorded.summary().complete:
                return False
    return len(parts) == of


def _replace(output: str, lines: Iterable[bytes]) -> None:
    try:
        write_lines(lines, output, Kind())
    except OutputError as error:
        raise CommandError(f"{error}: the same command retries it", status=FAILED) from error


async def _write(journal: str, output: str) -> None:
    """Write all outcomes; a file is replaced only once they are complete."""
    with open_run(journal) as recorded:
        lines = map(as_line, recorded.outcomes())
        if output != "-" and not is_stream(output):
            _replace(output, lines)
            return
        retry = "the run is complete: the same command writes it"
        async with awaited_output(output, status=FAILED, otherwise=retry) as writes:
            for line in lines:
                await writes.write(line)


def _summarise(bulk: Bulk, children: Children, whole: RunSummary | None, last: list[str]) -> None:
    counts, tally = children.counts(), children.said.tally()
    left = None
    if whole is None:
        left = children.said.left(processes=len(children.statuses), batch=bulk.batch or 1)
        if children.not_written:
            left = left or Remaining(without_outcome=0, may_have_run=0, last_line=None)
            left = replace(left, not_written=left.not_written + children.not_written)
    if bulk.progress == "json":
        said = summary.as_json(as_json(counts), tally, left)
        if whole is not None:
            said["run"] = ending.as_json(whole)
        click.echo(json.dumps(said), err=True)
    elif bulk.progress != "none":
        is_recorded = bulk.journal is not None
        lines = summary.as_text(counts, tally, left, verb=bulk.verb, is_recorded=is_recorded)
        say(*lines, *last)
