"""`asyncinvoke runs export`: recorded outcomes as files."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import click

from asyncinvoke._inputs.files import name_of
from asyncinvoke._outputs.files import OutputFormatName, kind_of, local_name
from asyncinvoke.cli import streams
from asyncinvoke.cli.errors import CommandError, printable
from asyncinvoke.cli.map.outputs import check_not_the_journal, is_stream, opened_output
from asyncinvoke.cli.map.progress import counted
from asyncinvoke.cli.map.whole_output import check_whole, write_lines
from asyncinvoke.cli.runs.exporting import may_have_run_line, outcome_lines, split
from asyncinvoke.cli.runs.group import opened_run, run_argument, runs
from asyncinvoke.cli.runs.parts import check_merged
from asyncinvoke.cli.terminated import raised_signals

_PIECE = 1 << 16


@runs.command(short_help="Write the outcomes of a run to files.")
@run_argument
@click.argument("target", metavar="FILE|DIR|-")
@click.option(
    "--split",
    "is_split",
    is_flag=True,
    help="Write a new DIR with one file each for succeeded, failed, may-have-run, settled and pending "
    "items, and a manifest with counts, sizes and checksums.",
)
@click.option(
    "--may-have-run",
    is_flag=True,
    help="Export only the items that may have run: positions, keys and request ids.",
)
@click.option(
    "--format",
    "told",
    type=click.Choice(["jsonl", "parquet"]),
    help="Format of FILE. A .gz or .zst file is compressed.  [default: by file extension, else "
    "jsonl]",
)
@click.option("--force", is_flag=True, help="Replace an existing FILE.")
def export(
    path: str,
    target: str,
    is_split: bool,
    may_have_run: bool,
    told: OutputFormatName | None,
    force: bool,
) -> None:
    """Write the recorded outcomes of RUN in input order, as one JSON line each.

    A run in progress is exported in its current state.
    """
    if is_split and (may_have_run or force or target == "-"):
        raise CommandError(
            "--split writes everything to a new folder: it cannot be combined with "
            "--may-have-run, --force or -"
        )
    target = local_name(target)
    kind = kind_of(target, told)
    if told == "parquet" and (is_split or may_have_run or target == "-"):
        raise CommandError(
            "--format parquet needs a FILE: it cannot be combined with --split, --may-have-run or -"
        )
    check_not_the_journal(target, path)
    check_merged(path)
    with opened_run(path) as run:
        if not is_split and target != "-" and (kind.is_whole or not is_stream(target)):
            check_whole(target, kind, force=force)
            lines = map(may_have_run_line, run.unknown()) if may_have_run else outcome_lines(run)
            number = counted(write_lines(lines, target, kind), "line")
            click.echo(printable(f"{name_of(target)}: {number}"), err=True)
            return
        if is_split:
            with raised_signals():
                counts = split(run, Path(target))
            said = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counts.items())
            click.echo(printable(f"{target}: {said}"), err=True)
            return
        lines = map(may_have_run_line, run.unknown()) if may_have_run else outcome_lines(run)
        if target == "-":
            anyio.run(_write, lines, streams.standard_output())
            return
        # A pipe or a device.
        with opened_output(target) as output:
            anyio.run(_write, lines, output)
        click.echo(printable(f"{target}: {counted(output.lines, 'line')}"), err=True)


async def _write(lines: Iterator[bytes], output: streams.Output) -> None:
    piece = bytearray()
    for line in lines:
        piece += line
        if len(piece) >= _PIECE:
            await output.write(bytes(piece))
            piece.clear()
    await output.write(bytes(piece))
