"""Runs async code on each event loop, without libraries that a client might lack."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


def run(loop: str, main: Callable[[], Any]) -> None:
    """Run an async function to its end on asyncio, uvloop or trio."""
    if loop == "trio":
        import trio

        trio.run(main)
    elif loop == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())


async def together(loop: str, work: Callable[[], Awaitable[None]], tasks: int) -> None:
    """Run an async function in several tasks at once, and wait for all of them."""
    if loop == "trio":
        import trio

        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(work)
        return

    async def task() -> None:
        await work()

    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(task())
