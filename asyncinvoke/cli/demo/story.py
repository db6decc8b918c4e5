"""The demo from its first line to its verdict."""

import os
from pathlib import Path
from typing import Any

import anyio
from anyio import to_process

from asyncinvoke.cli.demo import report
from asyncinvoke.cli.demo.fanout import fan_out
from asyncinvoke.cli.demo.library import add_up, measure_directly
from asyncinvoke.cli.live import Screen, bar_or_lines


async def tell_demo(
    modules: dict[str, Path], *, concurrency: int, account_concurrency: int
) -> bool:
    """Run it: progress goes to stderr, the rest to stdout.

    Returns:
        Whether nothing was lost and the totals agree.
    """
    progress = Screen(stderr=True)
    story = Screen(is_text=True)
    report.introduce(
        story,
        modules=len(modules),
        concurrency=concurrency,
        account_concurrency=account_concurrency,
    )
    result = await fan_out(
        modules,
        bar_or_lines(progress),
        concurrency=concurrency,
        account_concurrency=account_concurrency,
    )
    report.tell(story, result, add_up(result.measures))
    with progress.status("Computing the same directly, without Lambda"):
        direct = await _measure_directly(modules)
    return report.compare(story, result, direct)


async def _measure_directly(modules: dict[str, Path]) -> list[dict[str, Any]]:
    """Share the work among worker processes; give the measures in the order of the input."""
    names = list(modules)
    processes = os.cpu_count() or 1
    shares = [names[number::processes] for number in range(processes)]
    measured: dict[str, dict[str, Any]] = {}

    async def measure_share(share: list[str]) -> None:
        part = {name: modules[name] for name in share}
        for measures in await to_process.run_sync(measure_directly, part, cancellable=True):
            measured[measures["name"]] = measures

    async with anyio.create_task_group() as group:
        for share in shares:
            if share:
                group.start_soon(measure_share, share)
    return [measured[name] for name in names]
