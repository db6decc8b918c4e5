"""The demo's input, the modules of the running Python, and the expected results, computed locally."""

import os
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import anyio
from anyio import to_process

from asyncinvoke.cli.demo.measure import measure

_NOT_OF_PYTHON = frozenset({"site-packages", "dist-packages", "__pycache__"})


def find_modules(limit: int | None = None) -> dict[str, Path]:
    """Return the modules that are UTF-8 text: their files by dotted name.

    Args:
        limit: The maximum number of modules; by default all.
    """
    return dict(islice(_modules(Path(sysconfig.get_path("stdlib"))), limit))


def read_payloads(modules: dict[str, Path]) -> Iterator[dict[str, str]]:
    """Read the modules one by one, as payloads for the function."""
    for name, path in modules.items():
        yield {"name": name, "source": path.read_text("utf-8")}


def measure_directly(modules: dict[str, Path]) -> list[dict[str, Any]]:
    """Do the function's work in this process."""
    return [measure(**payload) for payload in read_payloads(modules)]


def add_up(measures: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the totals over all modules, and the five longest functions."""
    found = list(measures)
    totals: dict[str, Any] = {"modules": len(found)}
    for key in ("lines", "functions", "classes", "imports", "unparsable"):
        totals[key] = sum(measured[key] for measured in found)
    longest = [measured["longest"] for measured in found if measured["longest"]]
    longest.sort(key=lambda function: (-function["lines"], function["name"]))
    totals["longest"] = longest[:5]
    return totals


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _NOT_OF_PYTHON)
        for file in sorted(files):
            path = Path(folder, file)
            if path.suffix == ".py" and _is_text(path):
                yield ".".join(path.relative_to(root).with_suffix("").parts), path


def _is_text(path: Path) -> bool:
    try:
        path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return True


_PIECE = 40
"""Modules per task of a worker process; few enough for the bar to move steadily."""


async def measure_again(
    modules: dict[str, Path], advance: Callable[[int], object]
) -> list[dict[str, Any]]:
    """Measure all modules in worker processes; return the measures in input order.

    Args:
        modules: The input.
        advance: Called with the number of modules that have been measured since the last call.
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
