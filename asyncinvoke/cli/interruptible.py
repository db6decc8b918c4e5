"""One invocation that a signal may end, which then says whether the function has run."""

import contextlib
from collections.abc import Awaitable, Callable

import anyio
import click

from asyncinvoke import InvocationError, Invoker
from asyncinvoke.cli.errors import FAILED, CommandError
from asyncinvoke.cli.map.pace import PATIENCE, no_connection
from asyncinvoke.cli.options import SharedOptions, opened_invoker
from asyncinvoke.cli.running import Interrupt, beside

_OPENS_WITHIN = 2.0
"""Seconds beyond the timeout for credentials: covers imports, and botocore's data files."""

_CLOSES_WITHIN = 10.0
"""Seconds for an invoker to close after a signal; it normally takes a few hundredths of one."""


class Progress:
    """The progress of an invocation."""

    is_answered: bool = False
    """Whether the response has arrived and only has to be written."""


async def interruptible(
    shared: SharedOptions,
    work: Callable[[Invoker, Progress], Awaitable[int]],
    interrupt: Interrupt,
) -> int:
    """Do the work with an invoker; a signal ends it and reports whether the function may have run.

    Only the invoker knows how far a request got, and it reports that as it closes. A signal
    therefore closes the invoker during the call; cancelling the call would lose this information.
    """
    closing = anyio.Event()
    async with contextlib.AsyncExitStack() as stack:
        timeout = shared["timeout"]
        patience_for = None if timeout is None else timeout + _OPENS_WITHIN
        with interrupt.block(), anyio.move_on_after(patience_for) as patience:
            invoker = await stack.enter_async_context(opened_invoker(shared, limit=1))
        if interrupt.signal is not None:
            click.echo("interrupted: nothing was sent", err=True)
            return 0
        if patience.cancelled_caught:
            raise CommandError(
                f"timeout of {timeout:g} s expired while waiting for credentials: nothing was sent",
                status=FAILED,
            )

        async def close() -> None:
            await closing.wait()
            await stack.aclose()
            # The call is over; only writing its response can still be in progress.
            interrupt.leave()

        async def say_if_it_cannot_connect() -> None:
            await anyio.sleep(PATIENCE)
            while not (now := invoker.statistics()).connecting:  # noqa: ASYNC110  # there is no event to wait for
                await anyio.sleep(PATIENCE)
            click.echo(f"waiting: {no_connection(now)}; Ctrl-C stops", err=True)

        status, known = 0, True
        progress = Progress()
        with interrupt.block(drain=closing.set, grace=_CLOSES_WITHIN):
            async with beside(close, say_if_it_cannot_connect):
                known = False
                try:
                    status = await work(invoker, progress)
                    known = True
                except InvocationError as error:
                    if not closing.is_set():
                        raise
                    if not error.delivery.may_have_run:
                        known = True
                        click.echo("interrupted: the function has not run", err=True)
        if not known:
            ran = "may have run"
            if progress.is_answered:
                ran = "has run, but its response was not completely written"
            click.echo(f"interrupted: the function {ran}", err=True)
        return status
