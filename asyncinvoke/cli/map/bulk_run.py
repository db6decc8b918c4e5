"""A bulk run from its settings to its exit status: input, invoker, map and output."""

import contextlib

from asyncinvoke.cli import open_files
from asyncinvoke.cli.map.bulk_parts import (
    has_begun,
    no_items,
    opened,
    options_of_job,
    options_of_map,
    paced,
)
from asyncinvoke.cli.map.job import MapJob
from asyncinvoke.cli.map.outputs import (
    awaited_output,
    check_new_output,
    check_not_the_input,
    check_not_the_journal,
)
from asyncinvoke.cli.map.recorded_run import run_recorded
from asyncinvoke.cli.map.settings import Bulk
from asyncinvoke.cli.running import Interrupt, run
from asyncinvoke.inputs import Input, read


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
            return await run_recorded(bulk, bulk.journal, source, interrupt)

    return run(main)


async def _run_once(bulk: Bulk, source: Input, interrupt: Interrupt) -> int:
    check_new_output(bulk.output, force=bulk.force)
    async with opened(bulk, bulk.concurrency, interrupt) as (invoker, display):
        job = MapJob(
            invoker,
            source=paced(bulk, source),
            ordered=bulk.ordered,
            **options_of_job(bulk, display),
        )
        block = invoker.map(bulk.function_name, job.read(), **options_of_map(bulk))
        # Not earlier: a mistake in the options or the input must not leave an empty file.
        if not await has_begun(source, interrupt):
            job.nothing_was_read()
            return 0
        if source.is_empty:
            display.note(no_items(source))
        async with awaited_output(bulk.output) as writes, block as map_run:
            return await job.work(map_run, writes, interrupt)
