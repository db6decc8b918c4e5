"""Resize every photo of a list: `python bulk.py photos.jsonl > outcomes.jsonl`."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import anyio

import asyncinvoke


def read(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as lines:
        yield from map(json.loads, lines)


async def resize(invoker: asyncinvoke.Invoker, photos: Iterable[dict[str, Any]]) -> int:
    """Print one line for each photo; return how many could not be resized."""
    failed = 0
    async with invoker.map(
        "resize", photos, concurrency=100, key=lambda photo: str(photo["key"])
    ) as run:
        async for outcome in run:
            line: dict[str, Any] = {"key": outcome.key}
            if outcome.response is not None:
                line["width"] = outcome.response.json()["width"]
            else:
                line["error"] = str(outcome.error)
                failed += 1
            print(json.dumps(line))
    return failed


async def main(path: Path) -> int:
    async with asyncinvoke.Invoker() as invoker:
        return await resize(invoker, read(path))


if __name__ == "__main__":
    sys.exit(1 if anyio.run(main, Path(sys.argv[1])) else 0)
