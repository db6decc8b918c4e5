"""The demo's check: the function's work done once more on this machine, without Lambda."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
from anyio import to_process

from asyncinvoke.cli.demo.library import measure_directly

_PIECE = 40
"""Modules that a worker process takes at once: few enough to see how far it is."""


async def measure_again(
    modules: dict[str, Path], advance: Callable[[int], object]
) -> list[dict[str, Any]]:
    """Share the work among worker processes; give the measures in the order of the input.

    Args:
        modules: The input.
        advance: Told how many more are done.
    """
    names = list(modules)
    pieces = [names[begin : begin + _PIECE] for begin in range(0, len(names), _PIECE)]
    measured: dict[str, dict[str, Any]] = {}

    async def work() -> None:
        while pieces:
            part = {name: modules[name] for name in pieces.pop(0)}
            for measures in await to_process.run_sync(measure_directly, part, cancellable=True):
                measured[measures["name"]] = measures
            advance(len(part))

    async with anyio.create_task_group() as group:
        for _ in range(os.cpu_count() or 1):
            group.start_soon(work)
    return [measured[name] for name in names]
