"""A bulk run with a journal: one session of it, its output continued at the recorded offset."""

import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import click

from asyncinvoke import Changed, InvalidRequestError, Journal, JournalError, MapRun, Redrive
from asyncinvoke._outputs.files import real_name
from asyncinvoke._report.prices import NOTE as LOGS
from asyncinvoke.cli import streams
from asyncinvoke.cli.map.bulk_parts import (
    has_begun,
    no_items,
    opened,
    options_of_job,
    options_of_map,
    paced,
)
from asyncinvoke.cli.map.continued import ContinuedWriter
from asyncinvoke.cli.map.output_state import NOTE, OutputState, check_output, open_output
from asyncinvoke.cli.map.outputs import awaited_output, is_stream
from asyncinvoke.cli.map.recorded_job import RecordedJob
from asyncinvoke.cli.map.sampling import ReportSums
from asyncinvoke.cli.map.settings import COMMAND, Bulk, shown_tolerance
from asyncinvoke.cli.map.source import FILE, LineNumbers, RereadableInput, file_note, is_same_file
from asyncinvoke.cli.map.summary import NOTHING_READ
from asyncinvoke.cli.running import Interrupt
from asyncinvoke.cli.runs.control_file import control_path, drop_settings
from asyncinvoke.cli.runs.control_loop import answered_number
from asyncinvoke.cli.runs.parts import check_whole
from asyncinvoke.inputs import Input, Item, read
from asyncinvoke.runs import is_begun, open_run

MOST_IN_FLIGHT = 1000
"""The limit of the invoker, at least: the concurrency of a run may be raised while it runs."""


async def run_recorded(bulk: Bulk, path: str, source: Input, interrupt: Interrupt) -> int:
    """Run one session of a recorded bulk run; return its exit status."""
    if bulk.shard is None:
        check_whole(path)
    noted = _notes(path)
    place, lines = _found(bulk, noted)
    # The note about a new output must be stored before the file is opened. It is stored once the input
    # is compared, so the input is compared even if its file is unchanged.
    file = noted.get(FILE) if place.is_known or not place.path else None
    limit = max(bulk.concurrency, MOST_IN_FLIGHT)
    async with opened(bulk, limit, interrupt) as (invoker, display):
        settings = options_of_job(bulk, display)
        job = RecordedJob(
            path=path,
            grace=bulk.grace,
            keyed=bulk.key is not None,
            lines=lines,
            invoker=invoker,
            source=paced(bulk, source),
            **settings,
        )
        notes: dict[str, object] = {COMMAND: bulk.as_note()}
        if place.path:
            # Stored before the file is opened: content of a file without a note is not from this run.
            notes[NOTE] = place.as_note(lines)
        journal = Journal(
            path,
            replay=False,
            redrive=bulk.redrive,
            changed=Changed(bulk.changed),
            notes=notes,
        )
        block = invoker.map(
            bulk.function_name,
            RereadableInput(job.read, partial(_again, bulk, source, file)),
            journal=journal,
            ordered=bulk.ordered,
            key=None if bulk.key is None else _no_key,
            **options_of_map(bulk),
        )
        if not await has_begun(source, interrupt):
            click.echo(f"unfinished: {NOTHING_READ}", err=True)
            return 0
        error: Exception | None = None
        is_begun = False
        try:
            async with _stream_of(bulk) as stream, block as map_run:
                is_begun = True
                job.writes_to(None, stream)
                if source.status is not None:
                    map_run.note(FILE, file_note(source.status))
                _overrule(bulk, path, noted)
                await _work(bulk, path, job, map_run, interrupt, place, lines)
        except BrokenPipeError:
            raise
        except Exception as raised:
            if not is_begun:
                raise
            error = raised
        if source.is_empty and error is None:
            display.note(no_items(source))
        return job.end(error)


async def _work(
    bulk: Bulk,
    path: str,
    job: RecordedJob,
    map_run: MapRun[Any],
    interrupt: Interrupt,
    place: OutputState,
    lines: LineNumbers,
) -> None:
    with contextlib.ExitStack() as stack:
        # Before the first `await`, so that no item of this session has ended yet.
        recorded = stack.enter_context(open_run(path))
        before, summary = recorded.ends(), recorded.summary()
        job.continues(summary.ended)
        if bulk.sample_logs is not None:
            job.reads_logs(ReportSums(summary.notes.get(LOGS)))
        if _is_file(bulk.output):
            output, place = open_output(str(bulk.output), place)
            stack.enter_context(output)
            file = ContinuedWriter(
                output,
                place,
                run=recorded,
                before=before,
                lost=0 if bulk.redrive == Redrive.NONE else len(recorded.lost()),
                ordered=bulk.ordered,
                keyed=bulk.key is not None,
                lines=lines,
                position=lambda: job.position,
                note=map_run.note,
            )
            job.writes_to(file, None)
        await job.session(map_run, interrupt, number=summary.sessions[-1].number)


def _overrule(bulk: Bulk, path: str, noted: Mapping[str, object]) -> None:
    """Drop the settings of `runs set` if this command differs from that of the session they were for.

    The same command continues a run with them.
    """
    before = noted.get(COMMAND)
    if isinstance(before, dict):
        drop_settings(
            control_path(path),
            concurrency=before.get("concurrency") != bulk.concurrency,
            tolerate=before.get("tolerance") != shown_tolerance(bulk.tolerance),
            answered=answered_number(noted),
        )


def _is_file(output: str | None) -> bool:
    """Return whether an output is a regular file, which can be continued."""
    return output not in (None, "-") and not is_stream(str(output))


@contextlib.asynccontextmanager
async def _stream_of(bulk: Bulk) -> AsyncIterator[streams.Output | None]:
    """Open the output, if it is a stream; called before anything is sent."""
    if bulk.output is None or _is_file(bulk.output):
        yield None
        return
    async with awaited_output(bulk.output) as stream:
        yield stream


def _notes(path: str) -> Mapping[str, object]:
    """Return the notes of earlier sessions; none if the journal is new or cannot be read."""
    with contextlib.suppress(OSError, ValueError):  # reported when it is opened
        try:
            with open_run(path) as recorded:
                return recorded.summary().notes
        except JournalError:
            if is_begun(path):
                raise
    return {}


def _again(bulk: Bulk, source: Input, noted: object) -> AsyncIterable[Item] | None:
    """Return the items to compare before anything is sent; `None` if they cannot or need not be."""
    if bulk.source == "-" or source.status is None or is_same_file(noted, source.status):
        return None  # standard input cannot be read again, even if it is a file
    again = read(bulk.source, bulk.format, key=bulk.key, payload_template=bulk.payload_template)
    return paced(replace(bulk, rate=None), again).items()


def _found(bulk: Bulk, noted: Mapping[str, object]) -> tuple[OutputState, LineNumbers]:
    """Return where the output is continued, and the line numbers of items, after checking both."""
    note = noted.get(NOTE)
    output = bulk.output
    if output is None or not _is_file(output):
        return OutputState(path=""), LineNumbers()
    place = check_output(output, OutputState.from_note(note, real_name(output)), force=bulk.force)
    lines = note.get("lines") if isinstance(note, dict) else None
    return place, LineNumbers.from_note(lines)


def _no_key(_: object) -> str:
    """Refuse an item without a key: the others have theirs from the input."""
    raise InvalidRequestError("the item has no key")
