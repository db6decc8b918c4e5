"""The parts of a bulk run, made from its settings: the invoker, the input, and the options of its map."""

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import click

from asyncinvoke import Invoker
from asyncinvoke.cli import open_files, streams
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.map.progress import Display
from asyncinvoke.cli.map.reporter import choose_display
from asyncinvoke.cli.map.sampling import Sampled
from asyncinvoke.cli.map.settings import Bulk, retry_policy
from asyncinvoke.cli.map.source import ItemSource, Paced, batch_of, is_of, shard_of
from asyncinvoke.cli.map.summary import NOTHING_READ
from asyncinvoke.cli.options import invoke_options, opened_invoker
from asyncinvoke.cli.running import Interrupt
from asyncinvoke.inputs import Input, InputError


@contextlib.asynccontextmanager
async def opened(
    bulk: Bulk, limit: int, interrupt: Interrupt
) -> AsyncIterator[tuple[Invoker, Display]]:
    """Open the invoker; if a signal arrives before it is open, report that nothing was read."""
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


def paced(bulk: Bulk, source: Input) -> Paced:
    """Return the input, limited in number and rate, and to one shard."""
    shard = shard_of(bulk.shard)
    is_ours = None if shard is None else partial(is_of, shard)
    whole: ItemSource = source
    if bulk.sample_logs is not None:
        whole = Sampled(source, bulk.sample_logs)
    return Paced(whole, head=bulk.head, rate=bulk.rate, is_paced=is_ours)


def options_of_job(bulk: Bulk, display: Display) -> dict[str, Any]:
    """Return the arguments of a job, recorded or not."""
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


def options_of_map(bulk: Bulk) -> dict[str, Any]:
    """Return the options of `Invoker.map`, recorded or not."""
    return {
        "concurrency": bulk.concurrency,
        "batch": batch_of(bulk.batch, bulk.shape),
        "shard": shard_of(bulk.shard),
        "tolerate": bulk.tolerance,
        "invocation_type": bulk.invocation_type,
        "retry": retry_policy(bulk.retries, function_errors=bulk.retry_function_errors),
        **invoke_options(bulk.shared),
    }


async def has_begun(source: Input, interrupt: Interrupt) -> bool:
    """Open the input and check its beginning; return whether no signal arrived in the meantime."""
    with interrupt.block():
        try:
            await source.begin()
        except InputError as error:
            raise CommandError(str(error)) from error
    return interrupt.signal is None


def no_items(source: Input) -> str:
    """Return the note about an input without items, which may be the wrong file or prefix."""
    what = "objects" if source.format in ("listing", "inventory") else "items"
    return f"{source.name} has no {what}"
