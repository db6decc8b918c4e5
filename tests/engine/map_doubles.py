"""Work and inputs for maps without an invoker."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import anyio.lowlevel
from anyio import get_running_tasks

from asyncinvoke import InvalidRequestError, MapRun, Outcome, Response
from asyncinvoke._engine.map_block import open_run
from tests.doubles.engine import FakeClock

Work = Callable[[int, object], Awaitable[Outcome]]

SOON = 20.0
"""Timeout in seconds of tests that detect a hang; never reached otherwise."""


def outcome(index: int, item: object) -> Outcome:
    """Echo the item; one that is an error is a failed outcome."""
    if isinstance(item, InvalidRequestError):
        return Outcome(index=index, error=item, started=0, elapsed=0)
    response = Response(status_code=200, payload=str(item).encode())
    return Outcome(index=index, response=response, started=0, elapsed=0)


async def echo(index: int, item: object) -> Outcome:
    await anyio.lowlevel.checkpoint()
    return outcome(index, item)


class Gate:
    """Work that waits until an item, or all of them, may finish."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.working = 0
        self.peak = 0
        self._opened: dict[int, anyio.Event] = {}
        self._all = False

    async def __call__(self, index: int, item: object) -> Outcome:
        self.started.append(index)
        self.working += 1
        self.peak = max(self.peak, self.working)
        try:
            if not self._all:
                await self._event(index).wait()
        finally:
            self.working -= 1
        return outcome(index, item)

    def open(self, *indexes: int) -> None:
        for index in indexes:
            self._event(index).set()

    def open_all(self) -> None:
        self._all = True
        for event in self._opened.values():
            event.set()

    def _event(self, index: int) -> anyio.Event:
        return self._opened.setdefault(index, anyio.Event())


async def trickle(*items: object) -> AsyncIterator[object]:
    for item in items:
        await anyio.lowlevel.checkpoint()
        yield item


async def silent(*items: object) -> AsyncIterator[object]:
    """Yield these items, then wait forever."""
    for item in items:
        yield item
    await anyio.sleep_forever()


def run_of(
    payloads: object,
    work: Work = echo,
    *,
    concurrency: int = 4,
    ordered: bool = False,
    **options: Any,
) -> AbstractAsyncContextManager[MapRun]:
    # On a clock that stands still no input is slow, so the reader never pauses, however busy the
    # machine is.
    options.setdefault("clock", FakeClock())
    return open_run(payloads, work, concurrency=concurrency, ordered=ordered, **options)


def values(outcomes: Sequence[Outcome]) -> list[int]:
    return [int(each.unwrap().payload) for each in outcomes]


def tasks() -> int:
    return len(get_running_tasks())
