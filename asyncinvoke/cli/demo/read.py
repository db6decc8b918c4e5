"""The demo's second function: streams one file of the library, and the block that reads it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asyncinvoke import Invoker

FUNCTION_NAME = "read"

_PIECE = 4096
"""Bytes that the function writes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """What came of a stream."""

    name: str
    """The file's name."""

    chunks: int
    """How many chunks came."""

    size: int
    """Their bytes."""

    first: float
    """Seconds until the first one."""

    elapsed: float
    """Seconds until the last one."""

    is_whole: bool
    """Whether they are the file."""


def handler(event: dict[str, str], context: object) -> Iterator[bytes]:  # noqa: ARG001
    """Write the file at `event["path"]`, piece by piece."""
    with Path(event["path"]).open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


async def stream_largest(invoker: Invoker, files: list[Path]) -> Streamed:
    """Have the largest file streamed, and compare it with what is on the disk."""
    path = max(files, key=lambda path: path.stat().st_size)
    began, first = time.monotonic(), 0.0
    taken: list[bytes] = []
    async with invoker.stream(FUNCTION_NAME, {"path": str(path)}) as stream:
        async for chunk in stream:
            first = first or time.monotonic() - began
            taken.append(chunk)
    content = b"".join(taken)
    return Streamed(
        name=path.name,
        chunks=len(taken),
        size=len(content),
        first=first,
        elapsed=time.monotonic() - began,
        is_whole=content == path.read_bytes(),
    )
