"""Handlers and waits that tests of the endpoint and of the client share."""

from collections.abc import Callable
from typing import Any

import anyio


async def echo(event: Any, context: Any) -> Any:
    return event


class Gate:
    """An async handler that waits until the gate is opened."""

    def __init__(self) -> None:
        self._open = anyio.Event()
        self.events: list[Any] = []

    async def __call__(self, event: Any, context: Any) -> Any:
        self.events.append(event)
        await self._open.wait()
        return event

    def open(self) -> None:
        self._open.set()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    with anyio.fail_after(20):
        while not condition():
            await anyio.sleep(0.005)
