"""`asyncinvoke map`: one invocation for each item of the input, one line for each outcome."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Unpack

import click

from asyncinvoke import Tolerance
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.habits import AWS, Command, check_output
from asyncinvoke.cli.map.sampling import check_sampling, share_option
from asyncinvoke.cli.map.settings import tolerance_option
from asyncinvoke.cli.map.source import check_sharing, sharing_options
from asyncinvoke.cli.options import SharedOptions, shared_options
from asyncinvoke.cli.values import Duration, FileName, Number, WholeNumber

CONCURRENCY = 100
"""How many lines are worked on at once by default."""


EXAMPLES = """\b
Examples:
  asyncinvoke map resize photos.jsonl -o outcomes.jsonl
  asyncinvoke map resize photos.jsonl -j photos.run -o outcomes.jsonl
  asyncinvoke map resize photos.jsonl --head 100 --dry-run
  asyncinvoke map resize photos.jsonl --head 100 --tolerate 2% -o first.jsonl
  jq -c '.photos[]' album.json | asyncinvoke map resize - > outcomes.jsonl
  jq -c 'select(.ok | not)' outcomes.jsonl
"""


class _Map(Command):
    INSTEAD: ClassVar[Mapping[str, str]] = AWS | {
        "--function-name": "the function is the first word: asyncinvoke map FUNCTION INPUT",
        "--payload": "INPUT has the payloads, one a line; asyncinvoke invoke sends one",
        "--invocation-type": "--event for Event, --dry-run for DryRun",
        "--limit": "--head N takes the first N lines, --concurrency N works on N at once",
        "--jobs": "--concurrency N works on N lines at once",
        "--workers": "--concurrency N works on N lines at once",
        "--resume": "with --journal RUN the same command continues the run",
        "--max-failures": "--tolerate N, or a share such as --tolerate 2%",
    }
    EXTRA: ClassVar[str] = (
        "INPUT is one file, or -; cat joins several: cat *.jsonl | asyncinvoke map FUNCTION -"
    )


@click.command(
    "map", cls=_Map, short_help="Invoke a function for each line of a file.", epilog=EXAMPLES
)
@click.argument("function_name", metavar="FUNCTION")
@click.argument("source", metavar="INPUT", type=FileName())
@click.option(
    "-c",
    "--concurrency",
    type=WholeNumber(1),
    default=CONCURRENCY,
    show_default=True,
    metavar="N",
    help="How many lines are worked on at once.",
)
@click.option(
    "--ordered",
    is_flag=True,
    help="Write outcomes in the order of the input. One slow line then stops the run, once "
    "--concurrency and 16 more lines are waiting for it.",
)
@click.option("--event", is_flag=True, help="Only queue them: 202 means accepted, not succeeded.")
@click.option(
    "--tolerate",
    callback=tolerance_option,
    metavar="N|P%",
    help="Stop once more than N lines have failed, or more than P percent of those that have ended; "
    "a share counts from 100 lines on.  [default: no limit]",
)
@click.option(
    "--from",
    "from_",
    metavar="FORMAT",
    help="The format of INPUT: jsonl, json (one array), csv, tsv, each also with .gz or .zst added, "
    "parquet, listing or inventory.  [default: by the end of its name, else jsonl]",
)
@click.option("--key", metavar="POINTER", help="The key of a row, as a JSON pointer such as /id.")
@click.option(
    "--payload-template",
    metavar="JSON",
    help='What is sent for a row, such as \'{"photo": "{/key}"}\'; "{}" is the whole row.  '
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
    help="With --journal: ask for the log of this share of the items, from which asyncinvoke runs "
    "report tells the cost.",
)
@click.option(
    "--head", type=WholeNumber(1), metavar="N", help="Only the first N lines.  [default: all]"
)
@click.option(
    "--rate",
    type=Number(0, above=True),
    metavar="N",
    help="Begin at most N lines a second; retries are not counted.  [default: no limit]",
)
@click.option(
    "--retries",
    type=WholeNumber(0),
    metavar="N",
    help="How often a line is tried again after a failure other than a throttle. Throttled lines, and "
    "lines that surely were not sent, are retried in any case.  [default: 4]",
)
@click.option(
    "--retry-function-errors",
    is_flag=True,
    help="Also retry lines whose function raised an error, and so has run.",
)
@click.option(
    "-j",
    "--journal",
    type=FileName(),
    metavar="RUN",
    help="Record the run in this file: the same command continues it, through crashes too, and "
    "nothing that may have run is run again. See asyncinvoke runs.",
)
@click.option(
    "--grace",
    type=Duration(),
    default=30.0,
    metavar="TIME",
    help="With --journal: how long calls in flight may take to end after Ctrl-C.  [default: 30]",
)
@click.option(
    "-o",
    "--output",
    type=FileName(),
    metavar="FILE|-",
    help="Write outcomes there; with --journal each once, continued with the run. What ends in .gz, "
    ".zst or .parquet, or is a URL such as s3://bucket/key, is written when the run ends.  "
    "[default: -, standard output; with --journal none, they are in the journal]",
)
@click.option("--force", is_flag=True, help="Replace an output FILE that exists.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "json", "none"]),
    default="auto",
    show_default=True,
    help="On standard error. auto is a bar on a terminal, unless outcomes are written to it, and "
    "otherwise a line a minute.",
)
@click.option(
    "--processes",
    type=WholeNumber(1),
    default=1,
    metavar="N",
    help="Run in N processes of this machine, each with a part of INPUT; --concurrency, --rate and "
    "Ctrl-C apply to all of them together. With --journal, FILE is written when the run ends.  "
    "[default: 1]",
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

    INPUT is JSON lines, which are sent as they are, or another format: see --from. Each outcome
    becomes one line of JSON with the line's number; a line that is not JSON, or too long, becomes a
    failed outcome. An input that is in the wrong format as a whole is refused before anything is
    sent. Empty lines are skipped. Throttled lines wait for as long as it takes, or until --timeout.

    With --journal the run is a file. Ctrl-C lets calls in flight end, a second one abandons them;
    the same command continues the run, whatever ended it.
    """
    check_output(output)
    source = _named(source)
    if event and dry_run:
        raise CommandError("--event and --dry-run exclude each other")
    if sample_logs is not None:
        check_sampling(journal=journal, batch=batch, has_log=not (event or dry_run))
    check_sharing(batch=batch, shape=shape)
    from asyncinvoke.cli.map.bulk_run import run_bulk
    from asyncinvoke.cli.map.outputs import run_with_output
    from asyncinvoke.cli.map.settings import Bulk
    from asyncinvoke.cli.processes.run import run_processes

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


def _named(source: str) -> str:
    """Return the name of the input, where it is written as payloads are."""
    if source.startswith("@") and not Path(source).exists() and Path(source[1:]).is_file():
        return source[1:]
    return source.removeprefix("file://")
