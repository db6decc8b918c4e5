"""Who runs each version of each function: made when it is first invoked, retired when it changes."""

from collections.abc import Callable
from pathlib import Path

from anyio.abc import TaskGroup

from asyncinvoke.local.execution.guardian import Guardian
from asyncinvoke.local.execution.inprocess import InProcess
from asyncinvoke.local.execution.invocation import Runner
from asyncinvoke.local.execution.pool import ProcessPool
from asyncinvoke.local.execution.threads import Threads
from asyncinvoke.local.functions.configuration import Source
from asyncinvoke.local.functions.versions import Versions


class Runners:
    """The runners of one endpoint, while it serves.

    Args:
        idle_timeout: Seconds after which an idle worker process is ended; None for never.
        reload: Whether a change of a handler's file makes new worker processes.
        tasks: Where worker processes live.
        guardian: Knows of them, should the endpoint be killed.
        threads: Where sync handlers run.
        on_cold_start: Called with the function's name for each worker process that is started.
    """

    def __init__(
        self,
        *,
        idle_timeout: float | None,
        reload: bool,
        tasks: TaskGroup,
        guardian: Guardian,
        threads: Threads,
        on_cold_start: Callable[[str], None],
    ) -> None:
        self._idle_timeout = idle_timeout
        self._reload = reload
        self._tasks = tasks
        self._guardian = guardian
        self._threads = threads
        self._on_cold_start = on_cold_start
        self._runners: dict[tuple[str, str], Runner] = {}
        self._retired: list[ProcessPool] = []

    def get(self, versions: Versions, version: str) -> Runner:
        """Return the runner of a version.

        Raises:
            LookupError: There is no such version, or no longer.
        """
        return self._runners.get((versions.name, version)) or self._new(versions, version)

    def retire(self, name: str, version: str | None = None) -> None:
        """Let a version, or all of a function, end with what it runs now."""
        for key in [key for key in self._runners if key[0] == name and version in (None, key[1])]:
            runner = self._runners.pop(key)
            if isinstance(runner, ProcessPool):
                runner.retire()
                self._retired.append(runner)

    def retired_directories(self) -> set[Path]:
        """Return the directories of code that was retired and runs yet."""
        self._retired = [pool for pool in self._retired if pool.is_busy]
        return {pool.directory for pool in self._retired}

    def _new(self, versions: Versions, version: str) -> Runner:
        config = versions.resolve(version)
        if config is None:
            raise LookupError(f"version {version} was never published, or was deleted")
        runner: Runner
        if isinstance(config.handler, Source):
            runner = ProcessPool(
                config,
                config.handler,
                idle_timeout=self._idle_timeout,
                reload=self._reload,
                tasks=self._tasks,
                guardian=self._guardian,
                on_cold_start=self._on_cold_start,
            )
        else:
            runner = InProcess(config, config.handler, threads=self._threads)
        self._runners[versions.name, version] = runner
        return runner
