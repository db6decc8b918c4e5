"""One execution environment: a worker process that runs AWS's runtime, one invocation at a time."""

import asyncio
import functools
import math
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
from anyio.abc import Process, TaskStatus

from asyncinvoke.local.execution import ending as endings
from asyncinvoke.local.execution import logs, runtime_api, worker
from asyncinvoke.local.execution.ending import Ending
from asyncinvoke.local.execution.guardian import own_folder
from asyncinvoke.local.execution.invocation import Invocation, Result
from asyncinvoke.local.execution.memory import MemoryWatch
from asyncinvoke.local.execution.pipe import OutputPipe
from asyncinvoke.local.execution.runtime_api import RuntimeApi
from asyncinvoke.local.execution.worker import Surroundings
from asyncinvoke.local.functions.configuration import FunctionConfig, Source
from asyncinvoke.local.http.listener import listen, open_socket

INIT_LIMIT = 10.0
"""Seconds that a start may take without counting towards the timeout (AWS's init phase)."""


class Environment:
    """A worker process and its current invocation.

    `serve` runs for as long as the process; once it has reported the start, `invoke` may be called,
    one call at a time, while `is_alive`.

    Args:
        config: The function.
        source: The location of its handler.
        stamp: The state of the handler's files when the process was started.
        surroundings: What all processes of the endpoint share.
        repeats: The environment whose start took too long, if this is the second attempt.
    """

    def __init__(
        self,
        config: FunctionConfig,
        source: Source,
        stamp: int,
        surroundings: Surroundings,
        *,
        repeats: "Environment | None" = None,
    ) -> None:
        self.stamp = stamp
        """The state of the handler's files that it runs."""
        self._config = config
        self._source = source
        self._surroundings = surroundings
        self._guardian = surroundings.guardian
        self._repeats = repeats
        self._is_lost = False
        self._log_stream_name = logs.new_stream_name(config.version)
        self._created = time.monotonic()
        self._delivered = self._created
        self._init_duration: float | None = None
        self._is_ready = False
        self._has_run = False
        self._begun = 0.0
        self.log: bytes = b""
        """The log of a start that took too long."""
        self._request_id = ""
        self._inbox: asyncio.Queue[Invocation] = asyncio.Queue(1)
        self._ending: asyncio.Future[Ending] | None = None
        self._scope = anyio.CancelScope()
        self._life = anyio.CancelScope()
        self._gone = anyio.Event()
        self._memory: MemoryWatch | None = None
        self._output: OutputPipe
        self._process: Process
        self._is_alive = True

    @property
    def is_alive(self) -> bool:
        """Whether the process can take another invocation."""
        return self._is_alive and not self._life.cancel_called

    async def serve(self, *, task_status: TaskStatus[None]) -> None:
        """Start the process and wait for its end; on cancellation end it and its descendants."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self._guardian.processes(self._log_stream_name))
            tmp = None
            if self._surroundings.sandbox:
                tmp = await stack.enter_async_context(own_folder(self._guardian))
            try:
                await self._serve(task_status, tmp)
            finally:
                self._gone.set()
                with anyio.CancelScope(shield=True):
                    await self._guardian.sweep(self._log_stream_name)

    async def _serve(self, task_status: TaskStatus[None], tmp: Path | None) -> None:
        with OutputPipe(
            logs.line_listener(self._surroundings.on_log, self._config.name, self._config.version)
        ) as self._output:
            async with listen(RuntimeApi(self), open_socket(), limits=runtime_api.LIMITS) as port:
                self._process = await worker.start(
                    self._config,
                    self._source,
                    port=port,
                    output=self._output.descriptor,
                    log_stream_name=self._log_stream_name,
                    endpoints=self._surroundings.endpoints,
                    tmp=tmp,
                )
                self._output.close_writing()
                task_status.started()
                try:
                    with self._life:
                        self._exited(await self._process.wait())
                finally:
                    self._is_alive = False
                    with anyio.CancelScope(shield=True):
                        await worker.end(self._process)

    def rest(self, seconds: float | None) -> None:
        """Suspend the process if it is to be frozen; end it after some idle seconds, None for never."""
        if self._surroundings.freeze:
            self._signal(signal.SIGSTOP)
        if seconds is not None:
            self._life.deadline = anyio.current_time() + seconds

    def wake(self) -> None:
        """Prepare an idle process for an invocation."""
        self._life.deadline = math.inf
        if self._surroundings.freeze:
            self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End an idle process."""
        self._life.cancel()

    async def invoke(self, invocation: Invocation) -> Result | None:
        """Run one invocation; kill the process at the timeout.

        Return None, with the process killed, if a first start exceeded the init phase.
        """
        ending = None
        if not self._is_ready and self._repeats is not None:
            self._output.mark(self._repeats.log)
        self._begun = anyio.current_time()
        self._ending = asyncio.get_running_loop().create_future()
        self._request_id = invocation.request_id
        kill = functools.partial(self._signal, signal.SIGKILL)
        with (
            MemoryWatch(self._process.pid, self._config.memory_size, kill) as self._memory,
            # `next` moves the deadline once the process fetches the invocation.
            anyio.move_on_after(self._limit()) as self._scope,
        ):
            self._inbox.put_nowait(invocation)
            ending = await self._ending
        self._ending = None
        if ending is None and not (self._is_ready or self._is_lost or self._repeats):
            await self._kill()
            self._output.mark(logs.init_timed_out(time.monotonic() - self._created))
            self.log = self._output.take()
            return None
        return await self._result(invocation, ending, self._memory)

    def _limit(self) -> float:
        """Return the seconds until the process must have fetched the invocation and ended it."""
        if self._is_ready:
            return INIT_LIMIT + self._config.timeout
        return INIT_LIMIT if self._repeats is None else self._config.timeout

    async def _result(
        self, invocation: Invocation, ending: Ending | None, memory: MemoryWatch
    ) -> Result:
        """Return the result of an invocation; `ending` is None at the timeout."""
        duration, timeout = time.monotonic() - self._delivered, self._config.timeout
        if ending is None:
            memory.enforce()
            self._output.mark(logs.timed_out(invocation.request_id, timeout))
            ending = endings.timed_out(invocation.request_id, timeout)
        if ending.is_final:
            await self._kill()
        self._output.mark(
            logs.end(
                invocation.request_id,
                duration=duration,
                memory_size=self._config.memory_size,
                memory_used=memory.used,
                init_duration=self._init_duration,
                status=ending.status,
            )
        )
        self._init_duration = None
        log = self._output.take()
        return Result(
            payload=ending.payload,
            function_error=ending.function_error,
            content_type=ending.content_type,
            log=log if invocation.tail else None,
        )

    async def _kill(self) -> None:
        self._is_alive = False
        self._signal(signal.SIGKILL)
        await self._gone.wait()

    async def next(self) -> tuple[Invocation, int]:
        """Return the next invocation and its deadline to the process; its timeout starts now."""
        if not self._is_ready:
            self._is_ready = True
            self._init_duration = time.monotonic() - self._created
        invocation = await self._inbox.get()
        left = self._config.timeout
        if self._repeats is not None and not self._has_run:
            left = max(self._scope.deadline - anyio.current_time(), 0.0)
            self._init_duration = None  # it is included in the duration
        else:
            self._delivered = time.monotonic()
        self._has_run = True
        self._output.mark(logs.start(invocation.request_id, self._config.version))
        self._scope.deadline = anyio.current_time() + left
        return invocation, int((time.time() + left) * 1000)

    def responded(self, payload: bytes, content_type: str) -> None:
        """Receive the handler's response."""
        if self._enforce_memory():
            return
        self._settle(endings.answered(payload, content_type))

    def failed(self, payload: bytes) -> None:
        """Receive an error from the runtime; the process ends if it was not ready yet."""
        if not self._enforce_memory():
            self._settle(Ending(payload=payload, is_final=not self._is_ready))

    def _enforce_memory(self) -> bool:
        """Kill the process if it exceeds its memory; its end then determines the result."""
        return self._memory is not None and self._memory.enforce()

    def _exited(self, status: int) -> None:
        if status == -signal.SIGSEGV and not self._is_ready:
            # Recorded: the service does not respond until the timeout.
            self._is_lost = True
            self._scope.deadline = self._begun + self._config.timeout
            return
        is_over = self._memory is not None and self._memory.is_over
        self._settle(endings.exited(self._request_id, status, out_of_memory=is_over))

    def _settle(self, ending: Ending) -> None:
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(ending)

    def _signal(self, number: int) -> None:
        worker.signal_group(self._process, number)
