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
"""The default number of lines in progress at once."""


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
        "--function-name": "pass the function as the first argument: asyncinvoke map FUNCTION INPUT",
        "--payload": "INPUT has the payloads, one per line; asyncinvoke invoke sends a single one",
        "--invocation-type": "use --event for Event, --dry-run for DryRun",
        "--limit": "use --head N for the first N lines, --concurrency N for N lines at once",
        "--jobs": "use --concurrency N",
        "--workers": "use --concurrency N",
        "--resume": "with --journal RUN the same command continues the run",
        "--max-failures": "use --tolerate N, or a percentage such as --tolerate 2%",
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
    help="Number of lines in progress at once.",
)
@click.option(
    "--ordered",
    is_flag=True,
    help="Write outcomes in input order. One slow line then holds up the run once --concurrency + 16 "
    "lines are waiting for it.",
)
@click.option(
    "--event", is_flag=True, help="Only queue the events: 202 means accepted, not succeeded."
)
@click.option(
    "--tolerate",
    callback=tolerance_option,
    metavar="N|P%",
    help="Stop when more than N lines, or P percent of the finished ones, have failed; a percentage "
    "applies after 100 lines.  [default: no limit]",
)
@click.option(
    "--from",
    "from_",
    metavar="FORMAT",
    help="Format of INPUT: jsonl, json (one array), csv, tsv, each optionally with .gz or .zst "
    "appended, parquet, listing or inventory.  [default: by file extension, else jsonl]",
)
@click.option("--key", metavar="POINTER", help="Key of each row, as a JSON pointer such as /id.")
@click.option(
    "--payload-template",
    metavar="JSON",
    help='Payload to send for each row, such as \'{"photo": "{/key}"}\'; "{}" is the whole row.  '
    "[default: the row]",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Let Lambda validate each request and its permissions without running the function.",
)
@click.option(
    "--sample-logs",
    callback=share_option,
    metavar="P%",
    help="With --journal: fetch the log of this percentage of items, from which asyncinvoke runs "
    "report estimates the cost.",
)
@click.option(
    "--head",
    type=WholeNumber(1),
    metavar="N",
    help="Process only the first N lines.  [default: all]",
)
@click.option(
    "--rate",
    type=Number(0, above=True),
    metavar="N",
    help="Start at most N lines per second, not counting retries.  [default: no limit]",
)
@click.option(
    "--retries",
    type=WholeNumber(0),
    metavar="N",
    help="Maximum retries of a line that may have run, with --idempotent, --dry-run or "
    "--retry-function-errors. Lines that did not run are retried in any case: throttled ones "
    "indefinitely, others for minutes.  [default: 4]",
)
@click.option(
    "--retry-function-errors",
    is_flag=True,
    help="Also retry lines whose function ran and raised an error; not if it timed out or was killed.",
)
@click.option(
    "-j",
    "--journal",
    type=FileName(),
    metavar="RUN",
    help="Record the run in this file. The same command continues it, even after a crash, and "
    "repeats items that may have run only if --idempotent. See asyncinvoke runs.",
)
@click.option(
    "--changed",
    type=click.Choice(["refuse", "keep", "again"]),
    help="With --journal and --key, for rows that have changed since they were recorded: refuse the "
    "input, keep their outcomes, or run them again.  [default: refuse]",
)
@click.option(
    "--grace",
    type=Duration(),
    default=30.0,
    metavar="TIME",
    help="With --journal: time for calls in flight to finish after Ctrl-C.  [default: 30]",
)
@click.option(
    "-o",
    "--output",
    type=FileName(),
    metavar="FILE|-",
    help="Write outcomes to FILE; with --journal each exactly once, also when the run is continued. A "
    ".gz, .zst or .parquet file, or a URL such as s3://bucket/key, is written when the run ends.  "
    "[default: -, standard output; with --journal none, as the journal has them]",
)
@click.option("--force", is_flag=True, help="Replace an existing output FILE.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "json", "none"]),
    default="auto",
    show_default=True,
    help="Progress on standard error. auto is a bar on a terminal, unless outcomes are written to "
    "it, and otherwise one line per minute.",
)
@click.option(
    "--processes",
    type=WholeNumber(1),
    default=1,
    metavar="N",
    help="Run in N local processes, each with a part of INPUT; --concurrency, --rate and Ctrl-C apply "
    "to all of them together. With --journal, FILE is written when the run ends.  "
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
    changed: str | None,
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

    INPUT is JSON lines, which are sent unchanged, or another format (see --from). Each outcome is
    written as one line of JSON with its line number. A line that is too long or not JSON yields a
    failed outcome; an INPUT in the wrong format is rejected before anything is sent. Empty lines
    are skipped. Throttled lines are retried indefinitely, or until --timeout.

    With --journal, the run is recorded in a file, and the same command continues it after any
    interruption. Ctrl-C lets calls in flight finish; a second one abandons them.
    """
    check_output(output)
    source = _named(source)
    if event and dry_run:
        raise CommandError("--event and --dry-run exclude each other")
    if sample_logs is not None:
        check_sampling(journal=journal, batch=batch, has_log=not (event or dry_run))
    check_sharing(batch=batch, shape=shape)
    if changed is not None and (journal is None or key is None):
        raise CommandError("--changed needs --journal and --key, by which a row is the same one")
    from asyncinvoke.cli.map.bulk_run import run_bulk
    from asyncinvoke.cli.map.settings import Bulk
    from asyncinvoke.cli.map.whole_output import run_with_output
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
        changed=changed or "refuse",
    )

    def work(bulk: Bulk) -> int:
        return run_bulk(bulk) if processes == 1 else run_processes(bulk, processes)

    return run_with_output(bulk, work)


def _named(source: str) -> str:
    """Return the name of the input; payloads of `invoke` are named in the same ways."""
    if source.startswith("@") and not Path(source).exists() and Path(source[1:]).is_file():
        return source[1:]
    return source.removeprefix("file://")
