"""The demo from start to finish."""

import contextlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from asyncinvoke.cli.demo import report
from asyncinvoke.cli.demo.fanout import fan_out
from asyncinvoke.cli.demo.library import add_up, measure_again
from asyncinvoke.cli.map.live import Screen, bar_or_lines


async def run_demo(modules: dict[str, Path], *, concurrency: int, account_concurrency: int) -> bool:
    """Run the demo: progress goes to stderr, the rest to stdout.

    Returns:
        Whether nothing was lost and the totals agree.
    """
    progress = Screen(stderr=True)
    story = Screen(is_text=True)
    in_runtime = find_spec("awslambdaric") is not None
    report.introduce(
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
        say=lambda text: report.show_event(story, text),
    )
    report.show_event(story, "Computing the same totals on this machine, without Lambda.")
    with _bar(progress, len(modules)) as advance:
        direct = await measure_again(modules, advance)
    story.print()
    report.show_results(story, result, add_up(result.measures))
    is_well = report.compare(story, result, direct)
    report.suggest(story)
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
