"""The runners of each version of each function: created on first use, retired on change."""

import inspect
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import NamedTuple

import anyio
from anyio.abc import TaskGroup

from asyncinvoke.local.execution import logs
from asyncinvoke.local.execution.calling import Write
from asyncinvoke.local.execution.handler_run import HandlerRun
from asyncinvoke.local.execution.invocation import Invocation, Result, Runner
from asyncinvoke.local.execution.pool import ProcessPool
from asyncinvoke.local.execution.threads import Threads
from asyncinvoke.local.execution.worker import Surroundings
from asyncinvoke.local.functions.configuration import FunctionConfig, Handler, Source
from asyncinvoke.local.functions.versions import Versions


class InProcess:
    """The runner of one version whose handler is a callable.

    An async handler is cancelled at its timeout. A sync one cannot be: its thread is abandoned and
    its result dropped.
    """

    def __init__(self, config: FunctionConfig, handler: Handler, *, threads: Threads) -> None:
        self._config = config
        self._handler = handler
        self._threads = threads
        self._on_loop = _is_lazy(handler)
        self._log_stream_name = logs.new_stream_name(config.version)

    async def run(self, invocation: Invocation, write: Write | None = None) -> Result:
        """Run the handler once; its pieces are written or joined."""
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
        # A handler that suppressed the cancellation has timed out all the same.
        if scope.cancel_called:
            run.time_out()
        return run.result()


def _is_lazy(handler: Handler) -> bool:
    """Return whether calling a handler only creates a coroutine or generator."""
    call = getattr(handler, "__call__", None)  # noqa: B004  # an object may have an async `__call__`
    return (
        inspect.iscoroutinefunction(handler)
        or inspect.iscoroutinefunction(call)
        or inspect.isasyncgenfunction(handler)
        or inspect.isgeneratorfunction(handler)
    )


class _Running(NamedTuple):
    versions: Versions
    config: FunctionConfig
    runner: Runner


class Runners:
    """The runners of one endpoint while it is serving.

    Args:
        idle_timeout: Seconds after which an idle worker process is ended; None for no limit.
        reload: Whether a change to a handler's code starts new worker processes.
        tasks: The task group of the worker processes.
        surroundings: What all worker processes share.
        threads: The threads of sync handlers.
        on_cold_start: Called with the function's name for each worker process started.
    """

    def __init__(
        self,
        *,
        idle_timeout: float | None,
        reload: bool,
        tasks: TaskGroup,
        surroundings: Surroundings,
        threads: Threads,
        on_cold_start: Callable[[str], None],
    ) -> None:
        self._idle_timeout = idle_timeout
        self._reload = reload
        self._tasks = tasks
        self._surroundings = surroundings
        self._threads = threads
        self._on_cold_start = on_cold_start
        self._runners: dict[tuple[str, str], _Running] = {}
        self._retired: list[ProcessPool] = []

    def get(self, versions: Versions, version: str) -> Runner:
        """Return the runner of a version.

        Raises:
            LookupError: The version does not exist, or was deleted.
        """
        config = versions.in_force(version, time.monotonic())
        if config is None:
            raise LookupError(f"version {version} was never published, or was deleted")
        running = self._runners.get((versions.name, version))
        if running is not None:
            if running.config is config or running.config == config:
                return running.runner
            self.retire(versions.name, version)
        runner = self._new(config)
        self._runners[versions.name, version] = _Running(versions, config, runner)
        return runner

    def retire_outdated(self, now: float) -> None:
        """Retire the runners of configurations that an update has replaced by `now`."""
        for (name, version), running in [*self._runners.items()]:
            if running.versions.in_force(version, now) != running.config:
                self.retire(name, version)

    def retire(self, name: str, version: str | None = None) -> None:
        """End the processes of a version, or of a whole function, after their current invocation."""
        for key in [key for key in self._runners if key[0] == name and version in (None, key[1])]:
            runner = self._runners.pop(key).runner
            if isinstance(runner, ProcessPool):
                runner.retire()
                self._retired.append(runner)

    def retired_directories(self) -> set[Path]:
        """Return the code directories of retired runners that are still busy."""
        self._retired = [pool for pool in self._retired if pool.is_busy]
        return {folder for pool in self._retired for folder in pool.directories}

    def _new(self, config: FunctionConfig) -> Runner:
        if isinstance(config.handler, Source):
            return ProcessPool(
                config,
                config.handler,
                idle_timeout=self._idle_timeout,
                reload=self._reload,
                tasks=self._tasks,
                surroundings=self._surroundings,
                on_cold_start=self._on_cold_start,
            )
        return InProcess(config, config.handler, threads=self._threads)
