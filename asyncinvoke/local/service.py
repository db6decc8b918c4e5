"""The service: checks, admits, runs and answers every Invoke request; hands Events to the queue.

Lives on one asyncio loop. `server.LocalLambda` starts and stops it; `http_edge` feeds it. What
users call (`register`, the limits, `statistics`, `stop`) they may call from any thread.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import TaskGroup, TaskStatus

from asyncinvoke.local import answers, names, requests
from asyncinvoke.local.admission import Admission, whole_number
from asyncinvoke.local.answers import Answer
from asyncinvoke.local.event_queue import EventQueue
from asyncinvoke.local.execution import Invocation, Result
from asyncinvoke.local.faults import Faults
from asyncinvoke.local.faulty_edge import FaultyEdge
from asyncinvoke.local.functions import FunctionConfig, Source
from asyncinvoke.local.http_edge import HttpEdge, Output
from asyncinvoke.local.listener import listen, open_socket
from asyncinvoke.local.management.router import Management
from asyncinvoke.local.names import LATEST
from asyncinvoke.local.observing import Listener, Observed
from asyncinvoke.local.received import ReceivedInvocations
from asyncinvoke.local.requests import Request
from asyncinvoke.local.runners import Runners
from asyncinvoke.local.statistics import Counters, LocalStatistics
from asyncinvoke.local.threads import Threads
from asyncinvoke.local.versions import Versions
from asyncinvoke.local.yielding import Write
from asyncinvoke.model.throttling import ThrottleReason

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
        self._config = config
        self._functions: dict[str, Versions] = {}
        self._runners: Runners
        self._total = Counters()
        self._counters: dict[str, Counters] = {}
        self._duplicates: Counter[str] = Counter()
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
            self,
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
                    self._runners = Runners(
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
                        counters=lambda name: (self._counters[name], self._total),
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
                self._loop = None
                self._threads.close()
                management.close()

    def stop(self) -> None:
        """Let `serve` end. Events still in the queue are dropped."""
        if self._loop is not None:
            # In this loop's context: the caller's may say that trio is what runs here.
            self._loop.call_soon_threadsafe(self._stop.set, context=self._context)

    def register(self, config: FunctionConfig, reserved_concurrency: int | None) -> Versions:
        """Make a function known."""
        if config.name in self._functions:
            raise ValueError(f"function {config.name!r} is registered already")
        self.admission.reserve(config.name, reserved_concurrency)
        # A function that was deleted and made again goes on with its numbers.
        self._counters.setdefault(config.name, Counters())
        self._functions[config.name] = Versions(config)
        return self._functions[config.name]

    @property
    def functions(self) -> Mapping[str, Versions]:
        """Every function that is known, by name."""
        return self._functions

    def update(self, config: FunctionConfig) -> None:
        """Change `$LATEST`. What runs already goes on as it is."""
        self._functions[config.name].update(config)
        self._runners.retire(config.name, LATEST)

    def remove(self, name: str) -> None:
        """Forget a function. What runs already goes on."""
        del self._functions[name]
        self.admission.reserve(name, None)
        self._runners.retire(name)

    def remove_version(self, name: str, number: str) -> None:
        """Forget a version. What runs already goes on."""
        self._functions[name].remove_version(number)
        self._runners.retire(name, number)

    def directories(self) -> set[Path]:
        """Give the directories of the code that can still run, or runs yet."""
        known = (versions.published for versions in list(self._functions.values()))
        handlers = (config.handler for configs in known for config in configs)
        found = {handler.directory for handler in handlers if isinstance(handler, Source)}
        return found | self._runners.retired_directories()

    def concurrency(self) -> tuple[int, int]:
        """Give the account's concurrency, and what of it is not reserved."""
        return self.admission.account_concurrency, self.admission.unreserved

    def reserved(self, name: str) -> int | None:
        """Give a function's reserved concurrency."""
        return self.admission.reserved(name)

    def reserve(self, name: str, limit: int | None) -> None:
        """Change a function's reserved concurrency."""
        self.admission.reserve(name, limit)

    def duplicate_events(self, name: str, count: int) -> None:
        """Deliver a function's next Events twice."""
        self._duplicates[name] = whole_number("count", count)

    def statistics(self) -> LocalStatistics:
        """Freeze the numbers."""
        return self._total.total(self._counters)

    def count_fault(self, function_name: str, *, arrived: bool) -> None:
        """Count a request that met a fault."""
        parsed = names.parse(function_name)
        of_function = self._counters.get(parsed.name if parsed else "")
        for counters in (self._total, *([of_function] if of_function else ())):
            counters.faults += 1
            counters.invocations += arrived

    async def invoke(
        self, request: Request, request_id: str, output: Output | None = None
    ) -> Answer:
        """Answer one Invoke request; a stream is written to `output` meanwhile."""
        self._total.invocations += 1
        parsed = names.parse(request.function_name)
        name = parsed.name if parsed else ""
        counters = self._counters.get(name)
        if counters is not None:
            counters.invocations += 1
        now = time.monotonic()
        reason = self.admission.admit_caller(now)
        if reason is not None:
            return self._throttled(request_id, counters, reason)
        checked = requests.check(
            request,
            parsed,
            self._functions.get(name),
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
            return self._throttled(request_id, counters, reason)
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

    def _throttled(
        self, request_id: str, counters: Counters | None, reason: ThrottleReason
    ) -> Answer:
        self._total.throttled(reason)
        if counters is not None:
            counters.throttled(reason)
        return answers.throttled(request_id, reason)

    def _enqueue(self, invocation: Invocation) -> None:
        name = invocation.function_name
        versions = self._functions[name]
        delay = versions.updates_until(invocation.version) - time.monotonic()
        copies = 1
        if self._duplicates[name]:
            self._duplicates[name] -= 1
            copies = 2
        for _ in range(copies):
            self._events.put(invocation, versions.latest.events, delay=max(delay, 0.0))

    async def _execute(self, invocation: Invocation, write: Write | None = None) -> Result | None:
        """Run an admitted invocation and give back its permit; None if it could not be run."""
        name = invocation.function_name
        counters = self._counters[name]
        counters.started()
        self._total.started()
        try:
            result = await self._runners.get(self._functions[name], invocation.version).run(
                invocation, write
            )
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

    def _cold_start(self, name: str) -> None:
        self._counters[name].cold_starts += 1
        self._total.cold_starts += 1
