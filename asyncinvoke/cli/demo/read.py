"""The demo's second function, which streams one file, and the client code that reads it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asyncinvoke import Invoker

FUNCTION_NAME = "read"

_PIECE = 4096
"""Bytes that the function writes at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """The result of the stream."""

    name: str
    """The file's name."""

    chunks: int
    """The number of chunks."""

    size: int
    """The total size in bytes."""

    first: float
    """Seconds until the first chunk."""

    elapsed: float
    """Seconds until the last chunk."""

    is_whole: bool
    """Whether the chunks are the whole file."""


def handler(event: dict[str, str], context: object) -> Iterator[bytes]:  # noqa: ARG001
    """Yield the file at `event["path"]` in chunks."""
    with Path(event["path"]).open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


async def stream_largest(invoker: Invoker, files: list[Path]) -> Streamed:
    """Stream the largest file, and compare the result with the file on disk."""
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
