"""The worker processes of one function: warm ones first, new ones when there is none."""

from collections.abc import Callable

from anyio.abc import TaskGroup

from asyncinvoke.local.environment import Environment
from asyncinvoke.local.execution import Invocation, Result
from asyncinvoke.local.functions import FunctionConfig, Source


class ProcessPool:
    """The runner of one function whose handler runs in AWS's runtime.

    It has as many processes as invocations ever ran at once: `admission` holds the limit.

    Args:
        config: The function.
        source: Where its handler is.
        tasks: Where processes live; cancelling it ends them.
        on_cold_start: Called with the function's name for each process that is started.
    """

    def __init__(
        self,
        config: FunctionConfig,
        source: Source,
        *,
        tasks: TaskGroup,
        on_cold_start: Callable[[str], None],
    ) -> None:
        self._config = config
        self._source = source
        self._tasks = tasks
        self._on_cold_start = on_cold_start
        self._idle: list[Environment] = []

    async def run(self, invocation: Invocation) -> Result:
        """Run the handler once, in the process that was used last."""
        environment = await self._take()
        result = await environment.invoke(invocation)
        if environment.is_alive:
            self._idle.append(environment)
        return result

    async def _take(self) -> Environment:
        while self._idle:
            environment = self._idle.pop()
            if environment.is_alive:
                return environment
        environment = Environment(self._config, self._source)
        await self._tasks.start(environment.serve)
        self._on_cold_start(self._config.name)
        return environment
