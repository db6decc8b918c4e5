"""The service: checks, admits, runs and answers every Invoke request; hands Events to the queue.

Lives on one asyncio loop. `server.LocalLambda` starts and stops it; `http_edge` feeds it. What
users call (`register`, the limits, `statistics`, `stop`) they may call from any thread.
"""

import asyncio
import logging
import time
from contextvars import Context, copy_context
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup, TaskStatus

from asyncinvoke._model.failure import ThrottleReason
from asyncinvoke.local import checks
from asyncinvoke.local.checks import Request
from asyncinvoke.local.edge.faulty_edge import FaultyEdge
from asyncinvoke.local.edge.http_edge import HttpEdge, Output
from asyncinvoke.local.edge.observing import Listener, Observed
from asyncinvoke.local.edge.received import ReceivedInvocations
from asyncinvoke.local.events.queue import EventQueue
from asyncinvoke.local.execution.invocation import Invocation, Result
from asyncinvoke.local.execution.runners import Runners
from asyncinvoke.local.execution.threads import Threads
from asyncinvoke.local.execution.yielding import Write
from asyncinvoke.local.faults.injected import Faults
from asyncinvoke.local.functions.registry import FunctionRegistry
from asyncinvoke.local.http.listener import listen, open_socket
from asyncinvoke.local.limits.admission import Admission
from asyncinvoke.local.management.router import Management
from asyncinvoke.local.protocol import answers, names
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.statistics import LocalStatistics
from asyncinvoke.local.tally import Tally

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """What stays the same while the service runs."""

    region_name: str
    """The region it says it is in."""
    account_id: str
    """The account it says it is."""
    settling_time: float
    """Seconds for which a function that was created or updated by a request is not ready."""
    event_time_scale: float
    """What one second of the Event queue takes here, in seconds."""
    idle_timeout: float | None
    """Seconds after which an idle worker process is ended; None for never."""
    reloads: bool
    """Whether a change of a handler's file makes new worker processes."""
    keep_requests: int
    """How many of the latest Invoke requests are kept."""
    on_invocation: Listener | None
    """Who is told about each answer."""


class Service:
    """The endpoint without its HTTP."""

    def __init__(self, config: ServiceConfig, *, account_concurrency: int) -> None:
        self.admission = Admission(account_concurrency)
        self.faults = Faults()
        self.received = ReceivedInvocations(config.keep_requests)
        self._tally = Tally()
        self.registry = FunctionRegistry(self.admission, on_new=self._tally.know)
        self._config = config
        self._runners: Runners
        self._context: Context
        self._stop: anyio.Event
        self._tasks: TaskGroup
        self._events: EventQueue
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: Threads

    async def serve(self, port: int, host: str, *, task_status: TaskStatus[int]) -> None:
        """Listen and serve until `stop`; report the port once it is open."""
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._stop = anyio.Event()
        listener = self._config.on_invocation
        management = Management(
            self.registry,
            region_name=self._config.region_name,
            account_id=self._config.account_id,
            settling_time=self._config.settling_time,
        )
        edge = FaultyEdge(
            HttpEdge(Observed(self, listener) if listener else self, management, self.received),
            self,
            self.faults,
            listener,
        )
        with open_socket(port, host) as sock:
            self._threads = Threads()
            try:
                async with anyio.create_task_group() as self._tasks:
                    self.registry.running = self._runners = Runners(
                        idle_timeout=self._config.idle_timeout,
                        reloads=self._config.reloads,
                        tasks=self._tasks,
                        threads=self._threads,
                        on_cold_start=self._cold_start,
                    )
                    self._events = EventQueue(
                        admission=self.admission,
                        execute=self._execute,
                        tasks=self._tasks,
                        counters=self._tally.of,
                        time_scale=self._config.event_time_scale,
                    )
                    try:
                        async with listen(edge, sock) as open_port:
                            task_status.started(open_port)
                            await self._stop.wait()
                    finally:
                        self._events.close()
                    self._tasks.cancel_scope.cancel()
            finally:
                self._loop = self.registry.running = None
                self._threads.close()
                management.close()

    def stop(self) -> None:
        """Let `serve` end. Events still in the queue are dropped."""
        if self._loop is not None:
            # In this loop's context: the caller's may say that trio is what runs here.
            self._loop.call_soon_threadsafe(self._stop.set, context=self._context)

    def statistics(self) -> LocalStatistics:
        """Freeze the numbers."""
        return self._tally.statistics()

    def count_fault(self, function_name: str, *, arrived: bool) -> None:
        """Count a request that met a fault."""
        parsed = names.parse(function_name)
        for counters in self._tally.of(parsed.name if parsed else ""):
            counters.faults += 1
            counters.invocations += arrived

    async def invoke(
        self, request: Request, request_id: str, output: Output | None = None
    ) -> Answer:
        """Answer one Invoke request; a stream is written to `output` meanwhile."""
        parsed = names.parse(request.function_name)
        name = parsed.name if parsed else ""
        for counters in self._tally.of(name):
            counters.invocations += 1
        now = time.monotonic()
        reason = self.admission.admit_caller(now)
        if reason is not None:
            return self._throttled(request_id, name, reason)
        checked = checks.check(
            request,
            parsed,
            self.registry.functions.get(name),
            request_id=request_id,
            now=now,
            region_name=self._config.region_name,
            account_id=self._config.account_id,
        )
        if isinstance(checked, Answer):
            return checked
        if request.invocation_type == "DryRun":
            return answers.dry_run(request_id, checked.trace_id)
        if request.invocation_type == "Event":
            self._enqueue(checked)
            return answers.accepted(request_id, checked.trace_id)
        reason = self.admission.admit(name, now)
        if reason is not None:
            return self._throttled(request_id, name, reason)
        write = None
        if output is not None:
            head = answers.streaming(request_id, checked.trace_id, version=checked.version)
            output.begin(head)
            write = output.write
        result = await self._execute(checked, write)
        if result is None:
            return answers.internal_error(request_id)
        return answers.succeeded(
            request_id,
            checked.trace_id,
            result.payload,
            version=checked.version,
            function_error=result.function_error,
            log=result.log,
            content_type=result.content_type,
        )

    def _throttled(self, request_id: str, name: str, reason: ThrottleReason) -> Answer:
        for counters in self._tally.of(name):
            counters.throttled(reason)
        return answers.throttled(request_id, reason)

    def _enqueue(self, invocation: Invocation) -> None:
        name = invocation.function_name
        versions = self.registry.functions[name]
        delay = versions.updates_until(invocation.version) - time.monotonic()
        for _ in range(self.registry.deliveries(name)):
            self._events.put(invocation, versions.latest.events, delay=max(delay, 0.0))

    async def _execute(self, invocation: Invocation, write: Write | None = None) -> Result | None:
        """Run an admitted invocation and give back its permit; None if it could not be run."""
        name = invocation.function_name
        for counters in self._tally.of(name):
            counters.started()
        try:
            runner = self._runners.get(self.registry.functions[name], invocation.version)
            result = await runner.run(invocation, write)
        except Exception as error:  # noqa: BLE001 - what one call meets must not end the endpoint
            _logger.warning("function %s could not be run: %s", name, error)
            return None
        else:
            for counters in self._tally.of(name):
                counters.function_errors += result.function_error is not None
            return result
        finally:
            for counters in self._tally.of(name):
                counters.in_flight -= 1
            self.admission.release(name)

    def _cold_start(self, name: str) -> None:
        for counters in self._tally.of(name):
            counters.cold_starts += 1
