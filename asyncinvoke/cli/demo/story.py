"""The demo from start to finish, and its text, in at most 80 columns."""

import contextlib
import math
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from asyncinvoke.cli.demo.chart import COLUMNS, drawn
from asyncinvoke.cli.demo.fanout import Result, fan_out
from asyncinvoke.cli.demo.library import add_up, measure_again
from asyncinvoke.cli.errors import one_line
from asyncinvoke.cli.map.live import Screen, bar_or_lines


async def run_demo(modules: dict[str, Path], *, concurrency: int, account_concurrency: int) -> bool:
    """Run the demo: progress goes to stderr, the rest to stdout.

    Returns:
        Whether nothing was lost and the totals agree.
    """
    progress = Screen(stderr=True)
    story = Screen(is_text=True)
    in_runtime = find_spec("awslambdaric") is not None
    _introduce(
        story,
        modules=len(modules),
        concurrency=concurrency,
        account_concurrency=account_concurrency,
        in_runtime=in_runtime,
    )
    result = await fan_out(
        modules,
        lambda: bar_or_lines(progress),
        concurrency=concurrency,
        account_concurrency=account_concurrency,
        in_runtime=in_runtime,
        say=lambda text: _show_event(story, text),
    )
    _show_event(story, "Computing the same totals on this machine, without Lambda.")
    with _bar(progress, len(modules)) as advance:
        direct = await measure_again(modules, advance)
    story.print()
    _show_results(story, result, add_up(result.measures))
    is_well = _compare(story, result, direct)
    _suggest(story)
    return is_well


@contextlib.contextmanager
def _bar(console: Console, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal; yield the function that advances it."""
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("modules"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_interactive,
    )
    with bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.advance(task, done)


def _introduce(
    console: Console, *, modules: int, concurrency: int, account_concurrency: int, in_runtime: bool
) -> None:
    """Print what the demo is about to do."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    where = "in AWS's Lambda runtime, on this machine"
    if not in_runtime:
        where = "in this process, as AWS's Lambda runtime is not installed"
        if sys.platform == "linux":
            where += " (pip install 'asyncinvoke\\[cli,local]')"
    console.print(
        f"[bold]asyncinvoke demo[/]: one invocation for each of the {modules:,} modules of "
        f"{python}'s standard library. The function parses and measures the module; it runs "
        f"{where}. [bold]{concurrency}[/] invocations are requested at once, and the endpoint "
        f"allows [bold]{account_concurrency}[/], so some are throttled. Halfway through, the run "
        "is killed with [bold]kill -9[/], and the same command continues it. No AWS account and no "
        "network are used.\n"
    )


def _show_event(console: Console, text: str) -> None:
    """Print one line about what has just happened."""
    console.print(f"[bold cyan]>[/] {escape(text)}")


def _suggest(console: Console) -> None:
    """Print commands to try next."""
    command = "asyncinvoke"
    if shutil.which(command) is None:
        command = f"{sys.executable} -m asyncinvoke"
        beside = Path(sys.executable).with_name("asyncinvoke")
        if beside.exists():
            command = os.path.relpath(beside)
    console.print("\n[bold]Try next[/]")
    for words, why in (
        ("doctor", "check everything between this machine and Lambda"),
        ("local", "serve your own functions to boto3 and the AWS CLI"),
        (
            "map FUNCTION payloads.jsonl --head 100 --dry-run",
            "validate the first lines of a file of payloads",
        ),
        (
            "map FUNCTION payloads.jsonl --journal my.run",
            "run the file, and continue it after a crash",
        ),
    ):
        console.print(f"  [cyan]{escape(f'{command} {words}')}[/]", soft_wrap=True)
        console.print(f"      {why}")


def _show_results(console: Console, result: Result, totals: dict[str, Any]) -> None:
    """Print the results of the fan-out."""
    ok = [outcome for outcome in result.outcomes if outcome.ok]
    failed = [outcome for outcome in result.outcomes if outcome.error is not None]
    modules, streamed, killed = len(result.names), result.streamed, result.killed
    facts = {
        "invocations": f"{modules:,} in {result.elapsed:.1f} s, "
        f"{modules / result.elapsed:,.0f} per second",
        "killed": "not killed: it finished too early"
        if killed.after is None
        else f"with kill -9, after {killed.after:,} had finished; the same command continued it",
        "may have run": f"{len(killed.in_doubt):,} in flight at the kill: reported, not repeated, "
        "then redriven on request",
        "succeeded": f"{len(ok):,}",
        "failed": f"{len(failed):,}",
        "throttled and retried": f"{result.throttles:,} throttles survived",
        "executions at once": f"{result.peak_in_flight:,} at most",
        "streamed": f"{streamed.name}, {streamed.size:,} bytes in {streamed.chunks:,} chunks; "
        f"the first after {_duration(streamed.first)}, "
        f"the last after {_duration(streamed.elapsed)}",
        "also sent": f"an Event, accepted ({result.event}); a DryRun, valid ({result.dry_run})",
    }
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    for name, fact in facts.items():
        grid.add_row(name, fact)
    _indented(console, grid)

    room = max(min(COLUMNS, console.width - len("  throttled    ")), 10)
    picture = Table.grid(padding=(0, 2))
    picture.add_column(style="bold")
    for name, blocks in drawn(result.samples, room).items():
        picture.add_row(name, Text(blocks, style="cyan", no_wrap=True))
    if picture.row_count:
        _indented(console, picture)

    latency = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    latency.add_column("latency")
    for name in ("p50", "p95", "p99"):
        latency.add_column(name, justify="right")
    latency.add_row("with throttles and waits", *_percentiles([o.elapsed for o in ok]))
    _indented(console, latency)

    answer = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    answer.add_column("the five longest functions", overflow="ellipsis", no_wrap=True)
    answer.add_column("lines", justify="right")
    for function in totals["longest"]:
        answer.add_row(function["name"], f"{function['lines']:,}")
    _indented(console, _sentence(totals))
    _indented(console, answer)
    for outcome in failed[:5]:
        _indented(console, Text(f"failed: {one_line(str(outcome.error))}", style="red"))


def _compare(console: Console, result: Result, direct: Sequence[dict[str, Any]]) -> bool:
    """Print each check; return whether all of them hold."""
    killed, names = result.killed, result.names
    in_doubt = {names[position] for position in killed.in_doubt}
    again = {name for name, times in killed.whole.items() if times > 1}
    checks = {
        "every payload has exactly one outcome": [each.index for each in result.outcomes]
        == list(range(len(names))),
        "every invocation succeeded": all(outcome.ok for outcome in result.outcomes),
        "nothing ran twice, despite the kill": set(killed.once.values()) <= {1}
        and set(names) - set(killed.once) <= in_doubt,
        "only items that may have run were run again, on request": again <= in_doubt
        and set(killed.whole) == set(names),
        "the streamed file is identical, byte for byte": result.streamed.is_whole,
        "the totals match those computed without Lambda": result.measures == list(direct),
    }
    for claim, holds in checks.items():
        said = f"[green]✓[/] {claim}" if holds else f"[bold red]✗ wrong:[/] {claim}"
        console.print(Padding(said, (0, 0, 0, 2), expand=False))
    return all(checks.values())


def _sentence(totals: dict[str, Any]) -> str:
    return (
        f"{totals['lines']:,} lines, {totals['functions']:,} functions, "
        f"{totals['classes']:,} classes, {totals['imports']:,} imports "
        f"in {totals['modules']:,} modules; {totals['unparsable']:,} do not parse "
        "(fixtures of Python's tests)"
    )


def _percentiles(seconds: list[float]) -> list[str]:
    if not seconds:
        return ["-"] * 3
    ranked = sorted(seconds)
    return [_duration(ranked[math.ceil(len(ranked) * p / 100) - 1]) for p in (50, 95, 99)]


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else f"{seconds:,.2f} s"


def _indented(console: Console, what: Any) -> None:
    console.print(Padding(what, (0, 0, 1, 2), expand=False))
