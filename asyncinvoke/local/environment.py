"""One execution environment: a worker process that runs AWS's runtime, one invocation at a time."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from subprocess import DEVNULL

import anyio
from anyio.abc import Process, TaskStatus

from asyncinvoke.local import function_errors, logs
from asyncinvoke.local.execution import Invocation, Result
from asyncinvoke.local.functions import FunctionConfig, Source
from asyncinvoke.local.listener import HOST, listen, open_socket
from asyncinvoke.local.names import LATEST
from asyncinvoke.local.output import Output
from asyncinvoke.local.runtime_api import RuntimeApi

INIT_LIMIT = 10.0
"""Seconds that a start may take before the timeout begins to count (AWS's init phase)."""

STOP_GRACE = 0.5
"""Seconds between SIGTERM and SIGKILL."""

PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR")
"""What worker processes get of this process's environment: nothing that holds a credential."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ending:
    payload: bytes
    """The handler's answer or the body of the error."""
    function_error: str | None = function_errors.UNHANDLED
    """What `X-Amz-Function-Error` says."""
    content_type: str = "application/json"
    """The type that the runtime gave its answer."""
    status: str = ""
    """What the REPORT line says about it."""
    is_final: bool = False
    """Whether the environment ends with it."""


class Environment:
    """A worker process and the invocation that it has.

    `serve` is its life; once it has reported that it started, `invoke` may be called, one call at a
    time, for as long as `is_alive`.
    """

    def __init__(self, config: FunctionConfig, source: Source) -> None:
        self._config = config
        self._source = source
        self._created = time.monotonic()
        self._delivered = self._created
        self._init_duration: float | None = None
        self._is_ready = False
        self._request_id = ""
        self._inbox: asyncio.Queue[Invocation] = asyncio.Queue(1)
        self._ending: asyncio.Future[_Ending] | None = None
        self._scope = anyio.CancelScope()
        self._gone = anyio.Event()
        self._output: Output
        self._process: Process
        self.is_alive = True
        """Whether the process can take another invocation."""

    async def serve(self, *, task_status: TaskStatus[None]) -> None:
        """Start the process and wait for its end; on cancellation end it."""
        try:
            with Output() as self._output:
                async with listen(RuntimeApi(self), open_socket()) as port:
                    self._process = await self._start(port)
                    self._output.close_writing()
                    task_status.started()
                    try:
                        self._exited(await self._process.wait())
                    finally:
                        self.is_alive = False
                        with anyio.CancelScope(shield=True):
                            await self._end()
        finally:
            self._gone.set()

    async def invoke(self, invocation: Invocation) -> Result:
        """Run one invocation; at the timeout kill the process."""
        timeout = self._config.timeout
        ending = None
        self._ending = asyncio.get_running_loop().create_future()
        self._request_id = invocation.request_id
        # `next` brings the deadline forward once the process has started and takes the invocation.
        with anyio.move_on_after(INIT_LIMIT + timeout) as self._scope:
            self._inbox.put_nowait(invocation)
            ending = await self._ending
        self._ending = None
        duration = time.monotonic() - self._delivered
        memory_used = logs.peak_memory(self._process.pid) if invocation.tail else 0
        if ending is None:
            self._output.mark(logs.timed_out(invocation.request_id, timeout))
            ending = _Ending(
                payload=function_errors.timed_out(invocation.request_id, timeout),
                status="Status: timeout",
                is_final=True,
            )
        if ending.is_final:
            self.is_alive = False
            self._signal(signal.SIGKILL)
            await self._gone.wait()
        self._output.mark(
            logs.end(
                invocation.request_id,
                duration=duration,
                memory_size=self._config.memory_size,
                memory_used=memory_used,
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

    async def next(self) -> tuple[Invocation, int]:
        """Hand the process its next invocation, whose time begins now."""
        if not self._is_ready:
            self._is_ready = True
            self._init_duration = time.monotonic() - self._created
        invocation = await self._inbox.get()
        self._delivered = time.monotonic()
        self._output.mark(logs.start(invocation.request_id))
        self._scope.deadline = anyio.current_time() + self._config.timeout
        return invocation, int((time.time() + self._config.timeout) * 1000)

    def responded(self, payload: bytes, content_type: str) -> None:
        """Take the handler's answer."""
        if len(payload) > function_errors.RESPONSE_LIMIT:
            self._settle(_Ending(payload=function_errors.response_too_large()))
        else:
            self._settle(_Ending(payload=payload, function_error=None, content_type=content_type))

    def failed(self, payload: bytes) -> None:
        """Take the error that the runtime reports; before it is ready that is its last word."""
        self._settle(_Ending(payload=payload, is_final=not self._is_ready))

    def _exited(self, status: int) -> None:
        payload = function_errors.exited(self._request_id, status)
        report = "Status: error\tError Type: Runtime.ExitError"
        self._settle(_Ending(payload=payload, status=report, is_final=True))

    def _settle(self, ending: _Ending) -> None:
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(ending)

    async def _start(self, port: int) -> Process:
        config, directory = self._config, str(self._source.directory)
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        # A boto3 in the function must not find the credentials of whoever runs the endpoint.
        environment |= {
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        environment |= config.environment
        environment |= {
            "AWS_DEFAULT_REGION": config.region_name,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.memory_size),
            "AWS_LAMBDA_FUNCTION_NAME": config.name,
            "AWS_LAMBDA_FUNCTION_VERSION": LATEST,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": logs.group_name(config.name),
            "AWS_LAMBDA_LOG_STREAM_NAME": logs.new_stream_name(),
            "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{port}",
            "AWS_REGION": config.region_name,
            "LAMBDA_TASK_ROOT": directory,
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "_HANDLER": self._source.handler,
        }
        return await anyio.open_process(
            [sys.executable, "-m", "awslambdaric", self._source.handler],
            stdin=DEVNULL,
            stdout=self._output.descriptor,
            stderr=self._output.descriptor,
            cwd=directory,
            env=environment,
            # A group of its own: Ctrl-C in a terminal ends the endpoint, which ends its processes.
            start_new_session=True,
        )

    async def _end(self) -> None:
        self._signal(signal.SIGTERM)
        with anyio.move_on_after(STOP_GRACE):
            await self._process.wait()
        self._signal(signal.SIGKILL)
        await self._process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
