"""The worker processes of one version: idle ones are reused unless the code has changed."""

import ast
import contextlib
import importlib.util
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from anyio.abc import TaskGroup

from asyncinvoke.local.execution.calling import Write
from asyncinvoke.local.execution.environment import Environment
from asyncinvoke.local.execution.invocation import Invocation, Result
from asyncinvoke.local.execution.worker import Surroundings
from asyncinvoke.local.functions.configuration import FunctionConfig, Source


class Imports:
    """The files that a handler imports, and their modification times.

    Imports are parsed from the source, each file once until it changes. Dynamic imports and files
    outside the directory are not found.

    Args:
        source: The location of the handler.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._imported: dict[Path, tuple[int, tuple[Path, ...]]] = {}

    def stamp(self) -> int:
        """Return a number that changes with any of the files; 0 if there are no files.

        Delete the bytecode of files that have changed since the previous call.
        """
        if self._source.file is None:
            return 0
        seen: dict[Path, int] = {}
        waiting = [self._source.file]
        while waiting:
            file = waiting.pop()
            if file in seen:
                continue
            try:
                seen[file] = changed = file.stat().st_mtime_ns
            except OSError:
                continue
            known = self._imported.get(file)
            if known is None or known[0] != changed:
                if known is not None:
                    _delete_bytecode(file)
                known = changed, tuple(self._imports_of(file))
                self._imported[file] = known
            waiting += known[1]
        return hash(tuple(sorted(seen.items()))) if seen else 0

    def _imports_of(self, file: Path) -> Iterator[Path]:
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError):
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._files(self._source.directory, alias.name.split("."))
            elif isinstance(node, ast.ImportFrom):
                base = self._source.directory
                if node.level:
                    base = file.parents[min(node.level, len(file.parents)) - 1]
                parts = node.module.split(".") if node.module else []
                yield from self._files(base, parts)
                for alias in node.names:
                    yield from self._files(base, [*parts, alias.name])

    def _files(self, base: Path, parts: list[str]) -> Iterator[Path]:
        """Yield the files that a dotted name may refer to, including its packages."""
        for part in parts:
            yield base / part / "__init__.py"
            yield base / f"{part}.py"
            base = base / part


def _delete_bytecode(file: Path) -> None:
    """Delete the bytecode of a file: Python does not notice a change in the same second and size."""
    with contextlib.suppress(OSError, NotImplementedError):
        Path(importlib.util.cache_from_source(str(file))).unlink()


class ProcessPool:
    """The runner of one version whose handler runs in AWS's runtime.

    It has as many processes as the peak of concurrent invocations, which `admission` limits. A
    process belongs to the tenant of its first invocation.

    Args:
        config: The configuration of the version.
        source: The location of its handler.
        idle_timeout: Seconds after which an idle process is ended; None for no limit.
        reload: Whether a change to the handler's code starts new processes.
        tasks: The task group of the processes; cancelling it ends them.
        surroundings: What all processes of the endpoint share.
        on_cold_start: Called with the function's name for each process started.
    """

    def __init__(
        self,
        config: FunctionConfig,
        source: Source,
        *,
        idle_timeout: float | None,
        reload: bool,
        tasks: TaskGroup,
        surroundings: Surroundings,
        on_cold_start: Callable[[str], None],
    ) -> None:
        self._config = config
        self._source = source
        self._imports = Imports(source)
        self._idle_timeout = idle_timeout
        self._reload = reload
        self._tasks = tasks
        self._surroundings = surroundings
        self._on_cold_start = on_cold_start
        self._is_retired = False
        self._running = 0
        self._idle: defaultdict[str | None, list[Environment]] = defaultdict(list)

    @property
    def directories(self) -> set[Path]:
        """The directories of its code and its layers."""
        return {self._source.directory, *self._source.layers}

    @property
    def is_busy(self) -> bool:
        """Whether an invocation is running."""
        return self._running > 0

    async def run(self, invocation: Invocation, write: Write | None = None) -> Result:  # noqa: ARG002  # see below
        """Run the handler once, in the most recently used process. AWS's runtime does not stream."""
        self._running += 1
        try:
            return await self._run(invocation)
        finally:
            self._running -= 1

    async def _run(self, invocation: Invocation) -> Result:
        idle = self._idle[invocation.tenant_id]
        environment = await self._take(idle)
        result = await environment.invoke(invocation)
        if result is None:
            # The service restarts it once, within the timeout of the function.
            environment = await self._start(environment.stamp, repeats=environment)
            result = await environment.invoke(invocation)
            assert result is not None  # noqa: S101  # only a first start can return None
        if self._is_retired:
            environment.stop()
        elif environment.is_alive:
            environment.rest(self._idle_timeout)
            # Drop processes that have ended: `_take` pops only from the end, and would not reach them.
            idle[:] = [other for other in idle if other.is_alive]
            idle.append(environment)
        return result

    def retire(self) -> None:
        """End idle processes now, and busy ones after their invocation."""
        self._is_retired = True
        for idle in self._idle.values():
            while idle:
                idle.pop().stop()

    async def _take(self, idle: list[Environment]) -> Environment:
        stamp = self._imports.stamp() if self._reload else 0
        while idle:
            environment = idle.pop()
            if environment.stamp != stamp:
                environment.stop()
            elif environment.is_alive:
                environment.wake()
                return environment
        return await self._start(stamp)

    async def _start(self, stamp: int, repeats: Environment | None = None) -> Environment:
        environment = Environment(
            self._config, self._source, stamp, self._surroundings, repeats=repeats
        )
        await self._tasks.start(environment.serve)
        self._on_cold_start(self._config.name)
        return environment
