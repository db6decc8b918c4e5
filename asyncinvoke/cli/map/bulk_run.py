"""A bulk run from its settings to its exit status: input, invoker, map and output."""

import contextlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from asyncinvoke import InvalidRequestError, Invoker, Journal, MapRun
from asyncinvoke._report.prices import NOTE as LOGS
from asyncinvoke.cli import open_files, streams
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.map.continued import (
    NOTE,
    ContinuedWriter,
    Place,
    check_output,
    is_stream,
    open_output,
)
from asyncinvoke.cli.map.job import MapJob, choose_display
from asyncinvoke.cli.map.output_checks import (
    check_new_output,
    check_not_the_input,
    check_not_the_journal,
)
from asyncinvoke.cli.map.outputs import opened_output
from asyncinvoke.cli.map.progress import Display
from asyncinvoke.cli.map.recorded_job import RecordedJob
from asyncinvoke.cli.map.sampling import Reports, Sampled
from asyncinvoke.cli.map.settings import COMMAND, Bulk, retry_policy
from asyncinvoke.cli.map.source import (
    FILE,
    LineNumbers,
    Paced,
    Reading,
    Whole,
    batch_of,
    file_note,
    is_of,
    is_same_file,
    shard_of,
)
from asyncinvoke.cli.map.summary import NOTHING_READ
from asyncinvoke.cli.options import invoke_options, opened_invoker
from asyncinvoke.cli.running import Interrupt, run
from asyncinvoke.cli.runs.parts import check_whole
from asyncinvoke.inputs import Input, InputError, Item, read
from asyncinvoke.runs import open_run

MOST_IN_FLIGHT = 1000
"""How many may be in flight of a run whose concurrency may be raised while it runs."""


def run_bulk(bulk: Bulk) -> int:
    """Run a bulk run; return its exit status."""
    open_files.raise_open_files()

    async def main(interrupt: Interrupt) -> int:
        source = read(
            bulk.source, bulk.format, key=bulk.key, payload_template=bulk.payload_template
        )
        async with contextlib.aclosing(source):
            check_not_the_input(bulk.output, bulk.source)
            check_not_the_journal(bulk.output, bulk.journal)
            if bulk.journal is None:
                return await _run_once(bulk, source, interrupt)
            return await _run_recorded(bulk, bulk.journal, source, interrupt)

    return run(main)


async def _run_once(bulk: Bulk, source: Input, interrupt: Interrupt) -> int:
    check_new_output(bulk.output, force=bulk.force)
    async with _opened(bulk, bulk.concurrency, interrupt) as (invoker, display):
        paced = _paced(bulk, source)
        job = MapJob(invoker, source=paced, ordered=bulk.ordered, **_of_job(bulk, display))
        block = invoker.map(bulk.function_name, job.read(), **_of_map(bulk))
        # Only now: a mistake in the options or the input must leave no empty file.
        if not await _begin(source, interrupt):
            job.nothing_was_read()
            return 0
        if source.is_empty:
            display.note(no_items(source))
        with opened_output(bulk.output) as writes:
            async with block as map_run:
                return await job.work(map_run, writes, interrupt)


async def _run_recorded(bulk: Bulk, path: str, source: Input, interrupt: Interrupt) -> int:
    if bulk.shard is None:
        check_whole(path)
    noted = _notes(path)
    place, lines = _found(bulk, noted)
    limit = max(bulk.concurrency, MOST_IN_FLIGHT)
    async with _opened(bulk, limit, interrupt) as (invoker, display):
        paced = _paced(bulk, source)
        settings = _of_job(bulk, display)
        job = RecordedJob(
            path=path,
            grace=bulk.grace,
            keyed=bulk.key is not None,
            lines=lines,
            invoker=invoker,
            source=paced,
            **settings,
        )
        notes: dict[str, object] = {COMMAND: bulk.as_note()}
        if place.path:
            # Before the file is touched: what is found in it without a word here is not ours.
            notes[NOTE] = place.as_note(lines)
        journal = Journal(path, replay=False, redrive=bulk.redrive, notes=notes)
        block = invoker.map(
            bulk.function_name,
            Reading(job.read, partial(_again, bulk, source, noted.get(FILE))),
            journal=journal,
            ordered=bulk.ordered,
            key=None if bulk.key is None else _no_key,
            **_of_map(bulk),
        )
        if not await _begin(source, interrupt):
            click.echo(f"unfinished: {NOTHING_READ}", err=True)
            return 0
        error: Exception | None = None
        is_begun = False
        try:
            async with block as map_run:
                is_begun = True
                if source.status is not None:
                    map_run.note(FILE, file_note(source.status))
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
    place: Place,
    lines: LineNumbers,
) -> None:
    with contextlib.ExitStack() as stack:
        # Before the first pause of this task: nothing of this session has ended by now.
        recorded = stack.enter_context(open_run(path))
        before, summary = recorded.ends(), recorded.summary()
        job.continues(summary.ended)
        if bulk.sample_logs is not None:
            job.reads_logs(Reports(summary.notes.get(LOGS)))
        if bulk.output == "-":
            job.writes_to(None, streams.standard_output())
        elif bulk.output is not None and is_stream(bulk.output):
            job.writes_to(None, stack.enter_context(opened_output(bulk.output)))
        elif bulk.output is not None:
            output, place = open_output(bulk.output, place)
            stack.callback(os.close, output.descriptor)
            file = ContinuedWriter(
                output,
                place,
                run=recorded,
                before=before,
                ordered=bulk.ordered,
                keyed=bulk.key is not None,
                lines=lines,
                note=map_run.note,
            )
            job.writes_to(file, None)
        await job.session(map_run, interrupt, number=summary.sessions[-1].number)


def _notes(path: str) -> Mapping[str, object]:
    """Return what earlier sessions have noted; nothing where there were none."""
    with contextlib.suppress(
        OSError, ValueError
    ):  # what is wrong with it is said when it is opened
        if Path(path).is_file() and Path(path).stat().st_size:
            with open_run(path) as recorded:
                return recorded.summary().notes
    return {}


def _again(bulk: Bulk, source: Input, noted: object) -> AsyncIterable[Item] | None:
    """Return the items to be compared before anything is sent; `None` where it is the same file."""
    if source.status is None or is_same_file(noted, source.status):
        return None
    again = read(bulk.source, bulk.format, key=bulk.key, payload_template=bulk.payload_template)
    return _paced(replace(bulk, rate=None), again).items()


def _found(bulk: Bulk, noted: Mapping[str, object]) -> tuple[Place, LineNumbers]:
    """Return how far the output is, as the journal has it, once both are looked at."""
    note = noted.get(NOTE)
    output = bulk.output
    if output is None or output == "-" or is_stream(output):
        return Place(path=""), LineNumbers()
    place = Place.from_note(note, str(Path(output).absolute()))
    check_output(output, place, force=bulk.force)
    lines = note.get("lines") if isinstance(note, dict) else None
    return place, LineNumbers.from_note(lines)


@contextlib.asynccontextmanager
async def _opened(
    bulk: Bulk, limit: int, interrupt: Interrupt
) -> AsyncIterator[tuple[Invoker, Display]]:
    """Open the invoker; say that nothing was read where a signal came before that was done."""
    connections = open_files.openable() or limit
    is_open = False
    try:
        async with opened_invoker(bulk.shared, limit=min(limit, connections)) as invoker:
            is_open = True
            is_shared = bulk.output == "-" or (bulk.output is None and bulk.journal is None)
            display = choose_display(bulk.progress, writes_to=streams.STDOUT if is_shared else None)
            if connections < bulk.concurrency:
                display.note(open_files.warning(bulk.concurrency, connections))
            yield invoker, display
    finally:
        if interrupt.signal is not None and not is_open:
            click.echo(f"unfinished: {NOTHING_READ}", err=True)


def _paced(bulk: Bulk, source: Input) -> Paced:
    shard = shard_of(bulk.shard)
    is_ours = None if shard is None else partial(is_of, shard)
    whole: Whole = source
    if bulk.sample_logs is not None:
        whole = Sampled(source, bulk.sample_logs)
    return Paced(whole, head=bulk.head, rate=bulk.rate, is_paced=is_ours)


def _of_job(bulk: Bulk, display: Display) -> dict[str, Any]:
    return {
        "concurrency": bulk.concurrency,
        "batch": bulk.batch or 1,
        "shard": shard_of(bulk.shard),
        "is_keyed": bulk.key is not None,
        "verb": bulk.verb,
        "idempotent": bulk.shared["idempotent"],
        "display": display,
        "progress": bulk.progress,
    }


def _of_map(bulk: Bulk) -> dict[str, Any]:
    return {
        "concurrency": bulk.concurrency,
        "batch": batch_of(bulk.batch, bulk.shape),
        "shard": shard_of(bulk.shard),
        "tolerate": bulk.tolerance,
        "invocation_type": bulk.invocation_type,
        "retry": retry_policy(bulk.retries, function_errors=bulk.retry_function_errors),
        **invoke_options(bulk.shared),
    }


async def _begin(source: Input, interrupt: Interrupt) -> bool:
    """Look at the input; return whether no signal came meanwhile."""
    with interrupt.block():
        try:
            await source.begin()
        except InputError as error:
            raise CommandError(str(error)) from error
    return interrupt.signal is None


def no_items(source: Input) -> str:
    """Return what is said of an input without items: it may be the wrong file, or prefix."""
    what = "objects" if source.format in ("listing", "inventory") else "items"
    return f"{source.name} has no {what}"


def _no_key(_: object) -> str:
    """Say that an item has no key: those of an input have keys of their own, where they have any."""
    raise InvalidRequestError("the item has no key")
