"""`asyncinvoke map`: one invocation for each item of the input, one line for each outcome."""

from typing import Unpack

import click

from asyncinvoke import Tolerance
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.options import Duration, SharedOptions, shared_options
from asyncinvoke.cli.sampling import check_sampling, share_option
from asyncinvoke.cli.sharing import check_sharing, sharing_options
from asyncinvoke.cli.tolerance import tolerance_option

CONCURRENCY = 100
"""How many lines are worked on at once by default."""


EXAMPLES = """\b
Examples:
  asyncinvoke map resize photos.jsonl -o outcomes.jsonl
  asyncinvoke map resize photos.jsonl --journal photos.run -o outcomes.jsonl --tolerate 2%
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
    "--tolerate",
    callback=tolerance_option,
    metavar="N|P%",
    help="Stop once more than that has failed: so many lines, or so much of what has ended, which "
    "counts once 100 have. [default: none, no end]",
)
@click.option(
    "--from",
    "from_",
    metavar="FORMAT",
    help="What INPUT is: jsonl, json (one array), csv, tsv, each also with .gz or .zst behind it, "
    "parquet, listing or inventory. [default: what its name ends in, else jsonl]",
)
@click.option(
    "--key", metavar="POINTER", help="Where in a row its key is, a JSON pointer such as /id."
)
@click.option(
    "--payload-template",
    metavar="JSON",
    help='What is sent for a row, such as \'{"photo": "{/key}"}\'; "{}" is the whole row. '
    "[default: the row]",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Have Lambda check each request and the permission; run nothing.",
)
@click.option(
    "--sample-logs",
    callback=share_option,
    metavar="P%",
    help="With --journal: ask for the log of that many items, for the cost in asyncinvoke runs report.",
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
    "-j",
    "--journal",
    type=click.Path(readable=False),
    metavar="RUN",
    help="Record the run in this file: the same command continues it, through crashes too, and "
    "nothing that may have run is run again. See asyncinvoke runs.",
)
@click.option(
    "--grace",
    type=Duration(),
    default=30.0,
    metavar="TIME",
    help="With --journal: how long what is in flight may take to end after Ctrl-C. [default: 30]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(allow_dash=True),
    metavar="FILE|-",
    help="Write outcomes there; with --journal each once, continued with the run. "
    "[default: -, standard output; with --journal none, they are in the journal]",
)
@click.option("--force", is_flag=True, help="Replace an output FILE that exists.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "json", "none"]),
    default="auto",
    show_default=True,
    help="On standard error; auto is a bar on a terminal that outcomes do not scroll through, and a "
    "line a minute where there is none.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Run on so many processes of this machine, each a part of INPUT; --concurrency, --rate and "
    "Ctrl-C are those of all. With --journal, FILE is written when the run ends. [default: 1]",
)
@sharing_options
@shared_options
def map_(
    function_name: str,
    source: str,
    concurrency: int,
    ordered: bool,
    event: bool,
    tolerate: Tolerance | None,
    from_: str | None,
    key: str | None,
    payload_template: str | None,
    dry_run: bool,
    head: int | None,
    sample_logs: float | None,
    rate: float | None,
    retries: int | None,
    retry_function_errors: bool,
    journal: str | None,
    grace: float,
    output: str | None,
    force: bool,
    progress: str,
    processes: int,
    batch: int | None,
    shape: str | None,
    shard: str | None,
    **shared: Unpack[SharedOptions],
) -> int:
    """Invoke FUNCTION for each row of INPUT: a file, s3://bucket/prefix/, or - for standard input.

    INPUT is JSON lines, which are sent as they are, or what its name ends in. Each outcome becomes
    one line of JSON with the line's number; a line that is not JSON, or too long, becomes a failed
    outcome. An input that is something else as a whole is refused before anything is sent. Empty
    lines are skipped. What is throttled waits its turn for as long as it takes, or until --timeout.

    With --journal the run is a file. Ctrl-C lets what is in flight end, a second one leaves it; the
    same command goes on where it was, whatever ended it.
    """
    if event and dry_run:
        raise CommandError("--event and --dry-run exclude each other")
    if sample_logs is not None:
        check_sampling(journal=journal, batch=batch, has_log=not (event or dry_run))
    check_sharing(batch=batch, shape=shape)
    from asyncinvoke.cli.bulk import Bulk
    from asyncinvoke.cli.bulk_run import run_bulk
    from asyncinvoke.cli.processes.run import run_processes
    from asyncinvoke.cli.whole_output import run_with_output

    bulk = Bulk(
        function_name=function_name,
        source=source,
        format=from_,
        key=key,
        payload_template=payload_template,
        head=head,
        sample_logs=sample_logs,
        rate=rate,
        concurrency=concurrency,
        ordered=ordered,
        invocation_type="Event" if event else "DryRun" if dry_run else "RequestResponse",
        tolerance=tolerate,
        retries=retries,
        retry_function_errors=retry_function_errors,
        journal=journal,
        grace=grace,
        output=output,
        force=force,
        progress=progress,
        shared=shared,
        batch=batch,
        shape=shape,
        shard=shard,
    )

    def work(bulk: Bulk) -> int:
        return run_bulk(bulk) if processes == 1 else run_processes(bulk, processes)

    return run_with_output(bulk, work)
