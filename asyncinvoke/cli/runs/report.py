"""`asyncinvoke runs report`: a run as an HTML page."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import click

from asyncinvoke.cli import streams
from asyncinvoke.cli.errors import printable
from asyncinvoke.cli.running import Interrupt
from asyncinvoke.cli.running import run as run_async
from asyncinvoke.cli.runs.group import opened_run, run_argument, runs
from asyncinvoke.cli.runs.parts import check_merged
from asyncinvoke.cli.values import Number


@runs.command(short_help="Write an HTML report about a run.")
@run_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(allow_dash=True),
    required=True,
    metavar="FILE|-",
    help="HTML file to write.",
)
@click.option("--force", is_flag=True, help="Replace an existing FILE.")
@click.option(
    "--price-per-gb-s",
    type=Number(0),
    metavar="DOLLARS",
    help="Your price of a GB-second.  [default: x86 in us-east-1]",
)
def report(path: str, output: str, force: bool, price_per_gb_s: float | None) -> int:
    """Write an HTML report about RUN: results, causes of failures, durations and progress.

    The page is one file that contains no scripts and loads nothing. Needs matplotlib and jinja2:
    pip install 'asyncinvoke[report]'
    """
    from asyncinvoke._outputs.files import Kind
    from asyncinvoke._report.facts import facts_of
    from asyncinvoke._report.page import check_installed, render
    from asyncinvoke.cli.map.outputs import check_not_the_journal, is_stream, opened_output
    from asyncinvoke.cli.map.whole_output import check_whole, write_lines
    from asyncinvoke.runs import measured as measure

    check_not_the_journal(output, path)
    check_merged(path)
    is_special = output == "-" or is_stream(output)
    if not is_special:
        check_whole(output, Kind(), force=force)
    with opened_run(path) as run, ThreadPoolExecutor(max_workers=1) as pool:
        # Query the database while matplotlib is imported; neither holds the GIL for long.
        found = pool.submit(measure, path)
        check_installed()
        facts = facts_of(
            run.summary(),
            run.causes(),
            found.result(),
            run.samples(),
            price_per_gb_s=price_per_gb_s,
        )
    page = render(facts, made=time.time()).encode("utf-8", "backslashreplace")
    if is_special:
        with opened_output(output) as special:
            return run_async(partial(_write, page, special))
    write_lines([page], output, Kind())
    click.echo(printable(f"{output}: {len(page):,} bytes"), err=True)
    return 0


async def _write(page: bytes, output: streams.Output, _: Interrupt) -> int:
    await output.write(page)
    return 0
