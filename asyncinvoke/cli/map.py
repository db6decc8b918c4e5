"""`asyncinvoke map`: one invocation for each line of the input, one line for each outcome."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from asyncinvoke import InvocationType
from asyncinvoke.cli import jsonl, streams
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.options import SharedOptions, invoke_options, opened_invoker, shared_options
from asyncinvoke.cli.source import opened_source
from asyncinvoke.cli.summary import NOTHING_READ

if TYPE_CHECKING:
    from asyncinvoke.cli.running import Interrupt

CONCURRENCY = 100
"""How many lines are worked on at once by default."""


EXAMPLES = """\b
Examples:
  asyncinvoke map resize photos.jsonl -o outcomes.jsonl
  asyncinvoke map resize photos.jsonl --head 100 --dry-run
  asyncinvoke map resize photos.jsonl --head 100 -o first.jsonl
  jq -c '.photos[]' album.json | asyncinvoke map resize - -c 200 > outcomes.jsonl
  jq -c 'select(.ok | not)' outcomes.jsonl
"""


@click.command("map", short_help="Invoke a function for each line of a file.", epilog=EXAMPLES)
@click.argument("function_name", metavar="FUNCTION")
@click.argument("source", metavar="INPUT", type=click.Path(allow_dash=True))
@click.option(
    "-c",
    "--concurrency",
    type=click.IntRange(min=1),
    default=CONCURRENCY,
    show_default=True,
    metavar="N",
    help="How many lines are worked upon at once.",
)
@click.option(
    "--ordered",
    is_flag=True,
    help="Write outcomes in the order of the input. Those that end early wait for those before them: "
    "one slow line holds the run back once --concurrency and 16 more are waiting.",
)
@click.option("--event", is_flag=True, help="Only queue them: 202 means accepted, not succeeded.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Have Lambda check each request and the permission; run nothing.",
)
@click.option(
    "--head", type=click.IntRange(min=1), metavar="N", help="Only the first N lines. [default: all]"
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Begin at most N lines a second; retries are not counted. [default: no limit]",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    metavar="N",
    help="How often a line is tried again after a failure that is no throttle. What is throttled, or "
    "surely was not sent, waits in any case. [default: 4]",
)
@click.option(
    "--retry-function-errors",
    is_flag=True,
    help="Try also those lines again whose function raised an error; it has run then.",
)
@click.option(
    "-o", "--output", metavar="FILE|-", help="Write outcomes there. [default: -, standard output]"
)
@click.option("--force", is_flag=True, help="Replace an output FILE that exists.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "json", "none"]),
    default="auto",
    show_default=True,
    help="On standard error; auto is a bar if that is a terminal and outcomes go elsewhere, and "
    "else only the summary.",
)
@shared_options
def map_(
    function_name: str,
    source: str,
    concurrency: int,
    ordered: bool,
    event: bool,
    dry_run: bool,
    head: int | None,
    rate: float | None,
    retries: int | None,
    retry_function_errors: bool,
    output: str | None,
    force: bool,
    progress: str,
    **shared: Unpack[SharedOptions],
) -> int:
    """Invoke FUNCTION for each line of INPUT, a file of JSON lines or - for standard input.

    Each line is sent as it is. Each outcome becomes one line of JSON with the line's number; a
    line that is not JSON, or too long, becomes a failed outcome. An input that is something else
    as a whole, such as one JSON array, is refused before anything is sent. Empty lines are
    skipped. What is throttled waits its turn for as long as it takes, or until --timeout.
    """
    from asyncinvoke.cli import files
    from asyncinvoke.cli.map_job import MapJob, choose_display
    from asyncinvoke.cli.pacing import Paced
    from asyncinvoke.cli.repeating import retry_policy
    from asyncinvoke.cli.running import run

    options = invoke_options(shared)
    verb = "succeeded"
    if event and dry_run:
        raise CommandError("--event and --dry-run exclude each other")
    if event:
        options["invocation_type"], verb = InvocationType.EVENT, "accepted"
    if dry_run:
        options["invocation_type"], verb = InvocationType.DRY_RUN, "valid"
    options["retry"] = retry_policy(retries, function_errors=retry_function_errors)
    files.raise_open_files()
    connections = files.openable() or concurrency

    async def main(interrupt: "Interrupt") -> int:
        is_told = False
        with opened_source(source) as whole:
            opened = Paced(whole, head=head, rate=rate)
            _check_output(output, force=force, source=opened.descriptor)
            limit = min(concurrency, connections)
            try:
                async with opened_invoker(shared, limit=limit, encode=jsonl.encode_line) as invoker:
                    display = choose_display(progress, writes_to=_shared_output(output))
                    job = MapJob(
                        invoker,
                        source=opened,
                        concurrency=concurrency,
                        ordered=ordered,
                        verb=verb,
                        idempotent=shared["idempotent"],
                        display=display,
                        progress=progress,
                    )
                    block = invoker.map(
                        function_name,
                        job.read(),
                        concurrency=concurrency,
                        key=lambda line: str(line.number),
                        **options,
                    )
                    # Only now: a mistake in the options or the input must leave no empty file.
                    with interrupt.block():
                        await opened.begin()
                    is_told = True
                    if interrupt.signal is not None:
                        job.nothing_was_read()
                        return 0
                    if limit < concurrency:
                        display.note(files.warning(concurrency, limit))
                    with _opened_output(output) as writes:
                        async with block as map_run:
                            return await job.work(map_run, writes, interrupt)
            finally:
                if interrupt.signal is not None and not is_told:
                    click.echo(f"unfinished: {NOTHING_READ}", err=True)

    return run(main)


def _shared_output(output: str | None) -> int | None:
    """Return the descriptor of standard output, if that is where outcomes go."""
    return streams.STDOUT if output in (None, "-") else None


def _check_output(output: str | None, *, force: bool, source: int) -> None:
    if output is None or output == "-":
        return
    path = Path(output)
    try:
        if path.exists() and os.path.samestat(path.stat(), os.fstat(source)):
            raise CommandError(f"output {output} is the input")
        if path.is_file() and not force:
            raise CommandError(f"output {output} exists: --force replaces it")
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror}") from error


@contextlib.contextmanager
def _opened_output(output: str | None) -> Iterator[streams.Output]:
    if output is None or output == "-":
        yield streams.standard_output()
        return
    try:
        file = Path(output).open("wb", buffering=0)  # noqa: SIM115  # closed below
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror}") from error
    with file:
        yield streams.Output(file.fileno(), output, is_ours=True)
