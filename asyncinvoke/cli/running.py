"""Runs a command's async part: on uvloop where installed, until it ends or a signal arrives."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from importlib.util import find_spec
from typing import Any

import anyio

from asyncinvoke.cli.errors import BROKEN_PIPE
from asyncinvoke.cli.streams import STDOUT

Main = Callable[["Interrupt"], Awaitable[int]]
"""A command's async part; returns the exit status."""

Task = Callable[[], Coroutine[Any, Any, None]]
"""Something that goes on beside it."""


class Interrupt:
    """Cancels the command, or a block of it, at SIGINT or SIGTERM; a second signal ends it all."""

    def __init__(self) -> None:
        self.everything: anyio.CancelScope = anyio.CancelScope()
        """What a signal cancels outside of `block`."""
        self.signal: int | None = None
        """The first signal that arrived."""
        self._scope = self.everything

    @contextlib.contextmanager
    def block(self) -> Iterator[None]:
        """While this block runs, the first signal cancels it alone; what follows goes on."""
        try:
            with anyio.CancelScope() as self._scope:
                yield
        finally:
            self._scope = self.everything

    async def watch(self) -> None:
        """Wait for signals."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                scope = self._scope if self.signal is None else self.everything
                self.signal = self.signal or number
                scope.cancel()


def run(main: Main) -> int:
    """Run to the end; give the exit status, 128 and the number of the signal if one ended it."""
    uvloop = find_spec("uvloop") is not None
    try:
        return anyio.run(_run, main, backend_options={"use_uvloop": uvloop})
    except BrokenPipeError:
        # Or the interpreter would complain when it flushes the stream at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        return BROKEN_PIPE


async def _run(main: Main) -> int:
    interrupt = Interrupt()
    status = 0
    async with beside(interrupt.watch):
        with interrupt.everything:
            status = await main(interrupt)
    return status if interrupt.signal is None else 128 + interrupt.signal


@contextlib.asynccontextmanager
async def beside(*tasks: Task) -> AsyncIterator[None]:
    """Run tasks for as long as the block lasts. Errors come out as themselves, in no group."""
    raised: Exception | None = None
    try:
        async with anyio.create_task_group() as group:
            for task in tasks:
                group.start_soon(task)
            try:
                yield
            except Exception as error:  # noqa: BLE001  # raised below, as itself
                raised = error
            group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        raised = errors.exceptions[0]
    if raised is not None:
        raise raised
