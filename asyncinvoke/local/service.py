"""The service: validates, admits and runs Invoke requests, and passes Events to the queue.

It belongs to one asyncio loop. `server.LocalLambda` starts and stops it; `edge` passes requests to it.
The methods behind the public API (`register`, the limits, `statistics`, `stop`) are thread-safe.
"""

import asyncio
import logging
import random
import secrets
import time
from collections import deque
from contextvars import Context, copy_context

import anyio
from anyio.abc import TaskGroup, TaskStatus

from asyncinvoke._model.failure import ThrottleReason
from asyncinvoke.local import checks
from asyncinvoke.local.counters import Counters, LocalStatistics
from asyncinvoke.local.edge.faulty_edge import FaultyEdge
from asyncinvoke.local.edge.http_edge import HttpEdge, SignedEdge, Sink
from asyncinvoke.local.edge.observing import Observed
from asyncinvoke.local.events.queue import EventQueue
from asyncinvoke.local.execution.calling import Write
from asyncinvoke.local.execution.guardian import Guardian
from asyncinvoke.local.execution.invocation import Invocation, Result
from asyncinvoke.local.execution.runners import Runners
from asyncinvoke.local.execution.threads import Threads
from asyncinvoke.local.execution.worker import Surroundings
from asyncinvoke.local.faults.injected import Faults
from asyncinvoke.local.functions.registry import FunctionRegistry
from asyncinvoke.local.http.access import url_of
from asyncinvoke.local.http.listener import listen, open_socket
from asyncinvoke.local.limits import Admission
from asyncinvoke.local.management import packages
from asyncinvoke.local.management.router import Management
from asyncinvoke.local.protocol import answers, names, refusals
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.protocol.names import LATEST, FunctionName
from asyncinvoke.local.protocol.received import ReceivedInvocation
from asyncinvoke.local.protocol.refusals import Refusal
from asyncinvoke.local.service_config import ServiceConfig

_logger = logging.getLogger(__name__)


class Service:
    """The endpoint without HTTP."""

    def __init__(self, config: ServiceConfig, *, account_concurrency: int) -> None:
        self.config = config
        self.admission: Admission = Admission(account_concurrency)
        self.faults: Faults = Faults()
        self.received: deque[ReceivedInvocation] = deque(maxlen=config.keep_requests)
        """The latest Invoke requests, oldest first."""
        self._counters = Counters()
        self.registry: FunctionRegistry = FunctionRegistry(
            self.admission, on_new=self._counters.register
        )
        self._runners: Runners
        self._context: Context
        self._stop: anyio.Event
        self._tasks: TaskGroup
        self._events: EventQueue
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, port: int, host: str, *, task_status: TaskStatus[int]) -> None:
        """Listen and serve until `stop` is called; report the port once it is open."""
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._stop = anyio.Event()
        guardian = Guardian()
        management = Management(
            self.registry,
            guardian,
            region_name=self.config.region_name,
            account_id=self.config.account_id,
            settling_time=self.config.settling_time,
            s3=self.config.s3,
        )
        with open_socket(port, host) as sock:
            threads = Threads()
            try:
                async with anyio.create_task_group() as self._tasks:
                    self._set_up(threads, guardian, url_of(host, sock.getsockname()[1]))
                    try:
                        async with listen(
                            self._edge(management), sock, allowed_hosts=self.config.allowed_hosts
                        ) as open_port:
                            task_status.started(open_port)
                            await self._stop.wait()
                    finally:
                        self._events.close()
                    self._tasks.cancel_scope.cancel()
            finally:
                self._loop = self.registry.running = None
                threads.close()
                with anyio.CancelScope(shield=True):
                    await management.close()
                    await guardian.close()

    def stop(self) -> None:
        """End `serve`; Events in the queue are dropped."""
        if self._loop is not None:
            # In the context of this loop: in the caller's, sniffio may detect trio.
            self._loop.call_soon_threadsafe(self._stop.set, context=self._context)

    def statistics(self) -> LocalStatistics:
        """Return a frozen snapshot of the counters."""
        return self._counters.statistics()

    def count_fault(self, function_name: str, *, arrived: bool) -> None:
        """Count a request to which a fault applies."""
        self._counters.add(names.bare_name(function_name), faults=1, invocations=int(arrived))

    async def invoke(self, request: ReceivedInvocation, sink: Sink | None = None) -> Answer:
        """Return the response to an Invoke request; write a stream to `sink` meanwhile."""
        name = names.parse(request.function_name)
        self._counters.add(name.name if name else "", invocations=1)
        try:
            return await self._answer(request, name, sink)
        except Refusal as refusal:
            return refusal.answer(request.request_id)

    async def _answer(
        self, request: ReceivedInvocation, name: FunctionName | None, sink: Sink | None
    ) -> Answer:
        now = time.monotonic()
        self._throttle(name.name if name else "", self.admission.admit_caller(now))
        invocation = checks.check_invocation(
            request,
            name,
            self.registry.functions,
            now=now,
            region_name=self.config.region_name,
            account_id=self.config.account_id,
            trace_id=request.trace_id or _new_trace_id(),
            chance=random.random(),  # noqa: S311  # selects a version; not for security
        )
        if request.invocation_type == "DryRun":
            return answers.dry_run(request.request_id, invocation.trace_id)
        if request.invocation_type == "Event":
            self._enqueue(invocation)
            return answers.accepted(request.request_id, invocation.trace_id)
        function_name = invocation.function_name
        self._throttle(function_name, self.admission.admit(function_name, now))
        write = None
        if sink is not None:
            sink.begin(invocation.stream_head())
            write = sink.write
        result = await self._execute(invocation, write)
        if result is None:
            raise refusals.internal_error()
        return result.answer(invocation)

    def _set_up(self, threads: Threads, guardian: Guardian, endpoint_url: str) -> None:
        self.registry.running = self._runners = Runners(
            idle_timeout=self.config.idle_timeout,
            reload=self.config.reload,
            tasks=self._tasks,
            surroundings=Surroundings(
                guardian=guardian,
                endpoints={"AWS_ENDPOINT_URL_LAMBDA": endpoint_url}
                | packages.s3_endpoint(self.config.s3),
                on_log=self.config.on_log,
                sandbox=self.config.sandbox,
                freeze=self.config.freeze,
            ),
            threads=threads,
            on_cold_start=lambda name: self._counters.add(name, cold_starts=1),
        )
        self._events = EventQueue(
            admission=self.admission,
            execute=self._execute,
            exists=self._exists,
            tasks=self._tasks,
            counters=self._counters,
            time_scale=self.config.event_time_scale,
            on_progress=self.config.on_event,
        )

    def _edge(self, management: Management) -> SignedEdge:
        listener = self.config.on_invocation
        service = Observed(self, listener) if listener else self
        edge = HttpEdge(service, management, self.received.append)
        faulty = FaultyEdge(edge, self, self.faults, listener)
        return SignedEdge(faulty, allow_unsigned=self.config.allow_unsigned)

    def _throttle(self, name: str, reason: ThrottleReason | None) -> None:
        """Count and raise a throttle, if there is a reason."""
        if reason is not None:
            self._counters.throttled(name, reason)
            raise refusals.throttled(reason)

    def _enqueue(self, invocation: Invocation) -> None:
        name = invocation.function_name
        versions = self.registry.functions[name]
        arn = invocation.arn if invocation.is_qualified else f"{invocation.arn}:{LATEST}"
        events = versions.events_of(arn)
        delay = versions.updates_until(invocation.version) - time.monotonic()
        for _ in range(self.registry.take_deliveries(name)):
            self._events.put(invocation, events, delay=max(delay, 0.0))

    def _exists(self, invocation: Invocation) -> bool:
        versions = self.registry.functions.get(invocation.function_name)
        return versions is not None and versions.resolve(invocation.version) is not None

    async def _execute(self, invocation: Invocation, write: Write | None = None) -> Result | None:
        """Run an admitted invocation and release its permit; return None if it could not be run."""
        name = invocation.function_name
        self._counters.add(name, executions=1, in_flight=1)
        try:
            runner = self._runners.get(self.registry.functions[name], invocation.version)
            result = await runner.run(invocation, write)
        except Exception as error:  # noqa: BLE001  # one failed call must not end the endpoint
            _logger.warning("function %s could not be run: %s", name, error)
            return None
        else:
            if result.function_error is not None:
                self._counters.add(name, function_errors=1)
            return result
        finally:
            self._counters.add(name, in_flight=-1)
            self.admission.release(name)


def _new_trace_id() -> str:
    return f"root=1-{int(time.time()):08x}-{secrets.token_hex(12)};sampled=0"
