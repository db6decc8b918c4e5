"""Runs a command's async part: on uvloop where installed, until it ends or a signal arrives."""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from importlib.util import find_spec
from types import FrameType
from typing import Any

import anyio
import click

from asyncinvoke.cli.errors import BROKEN_PIPE
from asyncinvoke.cli.open_files import check_open_files
from asyncinvoke.cli.streams import STDERR, STDOUT
from asyncinvoke.cli.terminated import NUMBERS, TerminatedError, raise_signal

Main = Callable[["Interrupt"], Awaitable[int]]
"""A command's async part; returns the exit status."""

Task = Callable[[], Coroutine[Any, Any, None]]
"""Something that goes on beside it."""


class Interrupt:
    """Handles signals: they drain or cancel a block of the command, or cancel the command.

    The first SIGINT, SIGTERM or SIGHUP drains the current block for a limited time, if the block can
    be drained, and otherwise cancels it. The next one cancels a block that is being drained, and a
    further one cancels the command.

    A SIGHUP that is not the first signal has no effect: when a terminal is closed, the system sends
    one, and the shell another. If SIGHUP is ignored on start, as under `nohup`, it stays ignored.
    """

    def __init__(self) -> None:
        self.everything: anyio.CancelScope = anyio.CancelScope()
        """What a signal cancels outside of `block`."""
        self.signal: int | None = None
        """The first signal that arrived."""
        self._scope = self.everything
        self._drain: Callable[[], None] | None = None
        self._grace = 0.0
        self._is_draining = False

    @contextlib.contextmanager
    def block(
        self, *, drain: Callable[[], None] | None = None, grace: float = 0.0
    ) -> Iterator[None]:
        """Let the first signal cancel only this block; the command continues after it.

        Args:
            drain: Lets work in progress end and starts no more; the first signal calls it instead
                of cancelling.
            grace: How long draining may take before the block is cancelled, in seconds.
        """
        self._drain, self._grace = drain, grace
        try:
            with anyio.CancelScope() as self._scope:
                yield
        finally:
            self._scope, self._drain, self._is_draining = self.everything, None, False

    def leave(self) -> None:
        """Cancel the block, as a signal does; the command continues after it."""
        if self._scope is not self.everything:
            self._scope.cancel()

    def let_end(self, drain: Callable[[], None]) -> None:
        """Drain the block, as the first signal does, unless it is being drained already.

        Args:
            drain: Called instead of the function that the block was given.
        """
        if self._drain is not None:
            self._drain_by(drain)

    def _drain_by(self, drain: Callable[[], None]) -> None:
        self._drain, self._is_draining = None, True
        drain()
        self._scope.deadline = anyio.current_time() + self._grace

    async def watch(self) -> None:
        """Wait for signals."""
        heard = [signal.SIGINT, signal.SIGTERM]
        if not is_hangup_ignored():
            heard.append(signal.SIGHUP)
        with anyio.open_signal_receiver(*heard) as signals:
            async for number in signals:
                if number == signal.SIGINT and os.isatty(STDERR):
                    # Over the ^C that the terminal shows, or the next line would be behind it.
                    click.echo("\r", nl=False, err=True)
                is_first = self.signal is None
                if number == signal.SIGHUP and not is_first:
                    continue
                self.signal = self.signal or number
                if is_first and self._drain is not None:
                    self._drain_by(self._drain)
                elif is_first or self._is_draining:
                    self._is_draining = False
                    self._scope.cancel()
                else:
                    self.everything.cancel()


def is_hangup_ignored() -> bool:
    """Return whether SIGHUP is ignored, as under `nohup`."""
    return signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def run(main: Main) -> int:
    """Run the async part of a command; return its exit status, or 128 plus the number of a signal.

    Raises:
        CommandError: The limit on open files is too low for an event loop.
    """
    for library in ("aiobotocore", "botocore"):
        # Their warnings repeat errors that are reported anyway.
        logging.getLogger(library).addHandler(logging.NullHandler())
    check_open_files()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *NUMBERS)}
    uvloop = find_spec("uvloop") is not None
    try:
        return anyio.run(_run, main, backend_options={"use_uvloop": uvloop})
    except BrokenPipeError:
        # Otherwise the interpreter reports an error when it flushes the stream at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        return BROKEN_PIPE
    except BaseExceptionGroup as errors:
        # A second Ctrl-C before signals are handled, or after.
        found: BaseException | None = errors.subgroup((KeyboardInterrupt, TerminatedError))
        if found is None:
            raise
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        raise found from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _run(main: Main) -> int:
    interrupt = Interrupt()
    status = 0
    try:
        async with beside(interrupt.watch):
            with interrupt.everything:
                status = await main(interrupt)
    finally:
        _let_it_close()
    return status if interrupt.signal is None else 128 + interrupt.signal


def _let_it_close() -> None:
    """Ignore signals while the event loop closes, and what the loop says of anything that was cut off.

    The work is over. It takes milliseconds, unless a thread waits, as for a name server.
    """
    if not sys.flags.dev_mode:
        logging.getLogger("asyncio").addHandler(logging.NullHandler())
    began = time.monotonic()

    def ignore(number: int, frame: FrameType | None) -> None:
        if time.monotonic() - began <= _CLOSES_WITHIN:
            return
        if number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        raise_signal(number, frame)

    for each in (signal.SIGINT, *NUMBERS):
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, ignore)


_CLOSES_WITHIN = 1.0
"""Seconds after which a signal ends a loop that has not closed."""


@contextlib.asynccontextmanager
async def beside(*tasks: Task) -> AsyncIterator[None]:
    """Run tasks while the block runs. Errors are raised as they are, not in a group."""
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
