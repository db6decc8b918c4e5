"""The service: checks, admits, runs and answers every Invoke request; runs the Event queue.

Lives on one asyncio loop. `server.LocalLambda` starts and stops it; `http_edge` feeds it. What
users call (`register`, the limits, `statistics`, `stop`) they may call from any thread.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context

import anyio
from anyio.abc import TaskGroup, TaskStatus

from asyncinvoke.local import answers, names, requests
from asyncinvoke.local.admission import Admission
from asyncinvoke.local.answers import Answer
from asyncinvoke.local.execution import Invocation, Result, Runner
from asyncinvoke.local.functions import FunctionConfig, Source
from asyncinvoke.local.http_edge import HttpEdge
from asyncinvoke.local.inprocess import InProcess
from asyncinvoke.local.listener import listen, open_socket
from asyncinvoke.local.pool import ProcessPool
from asyncinvoke.local.requests import Request
from asyncinvoke.local.statistics import Counters, LocalStatistics
from asyncinvoke.local.threads import Threads

_logger = logging.getLogger(__name__)


class Service:
    """The endpoint without its HTTP."""

    def __init__(self, *, account_concurrency: int, region_name: str, account_id: str) -> None:
        self.admission = Admission(account_concurrency)
        self._region_name = region_name
        self._account_id = account_id
        self._functions: dict[str, FunctionConfig] = {}
        self._runners: dict[str, Runner] = {}
        self._total = Counters()
        self._counters: dict[str, Counters] = {}
        self._events: dict[str, deque[Invocation]] = {}
        self._queued = 0
        self._context: Context
        self._stop: anyio.Event
        self._tasks: TaskGroup
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: Threads

    async def serve(self, port: int, *, task_status: TaskStatus[int]) -> None:
        """Listen and serve until `stop`; report the port once it is open."""
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._stop = anyio.Event()
        with open_socket(port) as sock:
            self._threads = Threads()
            try:
                async with anyio.create_task_group() as self._tasks:
                    async with listen(HttpEdge(self), sock) as open_port:
                        task_status.started(open_port)
                        await self._stop.wait()
                    self._tasks.cancel_scope.cancel()
            finally:
                self._loop = None
                self._threads.close()

    def stop(self) -> None:
        """Let `serve` end. Events still in the queue are dropped."""
        self._soon(self._stop.set)

    def register(self, config: FunctionConfig, reserved_concurrency: int | None) -> None:
        """Make a function known."""
        if config.name in self._functions:
            raise ValueError(f"function {config.name!r} is registered already")
        self.admission.reserve(config.name, reserved_concurrency)
        self._counters[config.name] = Counters()
        self._events[config.name] = deque()
        self._functions[config.name] = config

    def set_account_concurrency(self, limit: int) -> None:
        """Change the account's limit; Events that waited for it go on."""
        self.admission.account_concurrency = limit
        self._soon(self._start_events)

    def set_reserved_concurrency(self, name: str, limit: int | None) -> None:
        """Change a function's limit; Events that waited for it go on."""
        self.admission.reserve(name, limit)
        self._soon(self._start_events)

    def statistics(self) -> LocalStatistics:
        """Freeze the numbers."""
        return self._total.total(self._counters)

    async def invoke(self, request: Request, request_id: str) -> Answer:
        """Answer one Invoke request."""
        self._total.invocations += 1
        parsed = names.parse(request.function_name)
        name = parsed.name if parsed else ""
        counters = self._counters.get(name)
        if counters is not None:
            counters.invocations += 1
        checked = requests.check(
            request,
            parsed,
            self._functions.get(name),
            request_id=request_id,
            region_name=self._region_name,
            account_id=self._account_id,
        )
        if isinstance(checked, Answer):
            return checked
        if request.invocation_type == "DryRun":
            return answers.dry_run(request_id, checked.trace_id)
        if request.invocation_type == "Event":
            self._events[name].append(checked)
            self._queued += 1
            self._start_events()
            return answers.accepted(request_id, checked.trace_id)
        reason = self.admission.admit(name)
        if reason is not None:
            self._counters[name].throttled(reason)
            self._total.throttled(reason)
            return answers.throttled(request_id, reason)
        result = await self._execute(checked)
        if result is None:
            return answers.internal_error(request_id)
        return answers.succeeded(
            request_id,
            checked.trace_id,
            result.payload,
            function_error=result.function_error,
            log=result.log,
            content_type=result.content_type,
        )

    async def _execute(self, invocation: Invocation) -> Result | None:
        """Run an admitted invocation and give back its permit; None if it could not be run."""
        name = invocation.function_name
        counters = self._counters[name]
        counters.started()
        self._total.started()
        try:
            result = await self._runner(name).run(invocation)
        except Exception as error:  # noqa: BLE001 - what one call meets must not end the endpoint
            _logger.warning("function %s could not be run: %s", name, error)
            return None
        else:
            if result.function_error is not None:
                counters.function_errors += 1
                self._total.function_errors += 1
            return result
        finally:
            counters.in_flight -= 1
            self._total.in_flight -= 1
            self.admission.release(name)
            self._start_events()

    def _start_events(self) -> None:
        """Start queued Events for as long as there are permits; called whenever one may be free."""
        if not self._queued:
            return
        for name, queue in tuple(self._events.items()):
            while queue and self.admission.admit(name) is None:
                self._queued -= 1
                self._tasks.start_soon(self._execute, queue.popleft())

    def _soon(self, function: Callable[[], None]) -> None:
        """Run a function on the loop; never wait for it, the caller may be what the loop awaits."""
        if self._loop is not None:
            # In this loop's context: the caller's may say that trio is what runs here.
            self._loop.call_soon_threadsafe(function, context=self._context)

    def _runner(self, name: str) -> Runner:
        runner = self._runners.get(name)
        if runner is None:
            config = self._functions[name]
            if isinstance(config.handler, Source):
                runner = ProcessPool(
                    config, config.handler, tasks=self._tasks, on_cold_start=self._cold_start
                )
            else:
                runner = InProcess(config, config.handler, threads=self._threads)
            self._runners[name] = runner
        return runner

    def _cold_start(self, name: str) -> None:
        self._counters[name].cold_starts += 1
        self._total.cold_starts += 1
