"""Runs handlers that are callables of this process: async on the server's loop, sync in a thread."""

import inspect
from contextlib import aclosing

import anyio

from asyncinvoke.local.execution import logs
from asyncinvoke.local.execution.handler_run import HandlerRun
from asyncinvoke.local.execution.invocation import Invocation, Result
from asyncinvoke.local.execution.threads import Threads
from asyncinvoke.local.execution.yielding import Write
from asyncinvoke.local.functions.configuration import FunctionConfig, Handler


class InProcess:
    """The runner of one version whose handler is a callable.

    An async handler is cancelled at its timeout. A sync one cannot be: its thread is abandoned and
    its result dropped.
    """

    def __init__(self, config: FunctionConfig, handler: Handler, *, threads: Threads) -> None:
        self._config = config
        self._handler = handler
        self._threads = threads
        self._on_loop = _runs_nothing_yet(handler)
        self._log_stream_name = logs.new_stream_name(config.version)

    async def run(self, invocation: Invocation, write: Write | None = None) -> Result:
        """Run the handler once; what it yields is written, or joined."""
        run = HandlerRun(
            self._handler,
            invocation,
            self._config,
            calls=self._threads,
            log_stream_name=self._log_stream_name,
            on_loop=self._on_loop,
        )
        with anyio.move_on_after(self._config.timeout) as scope:
            if write is None:
                await run.whole()
            else:
                async with aclosing(run.pieces()) as pieces:
                    async for piece in pieces:
                        await write(piece)
        # A handler that swallowed the cancellation is too late all the same.
        if scope.cancel_called:
            run.time_out()
        return run.result()


def _runs_nothing_yet(handler: Handler) -> bool:
    """Return whether calling a handler only makes what then runs: a coroutine or a generator."""
    call = getattr(handler, "__call__", None)  # noqa: B004  # an object may be called by a coroutine
    return (
        inspect.iscoroutinefunction(handler)
        or inspect.iscoroutinefunction(call)
        or inspect.isasyncgenfunction(handler)
        or inspect.isgeneratorfunction(handler)
    )
