"""`LocalLambda`: the endpoint's public class. Wires the parts together; decides nothing."""

import functools
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import anyio

from asyncinvoke.local.background import Background, choose_background
from asyncinvoke.local.counters import LocalStatistics
from asyncinvoke.local.edge.observing import AnsweredInvocation
from asyncinvoke.local.events.queue import EventProgress
from asyncinvoke.local.execution.logs import LogLine
from asyncinvoke.local.faults.injected import FaultOptions, InjectedFault
from asyncinvoke.local.faults.steps import Step
from asyncinvoke.local.functions import configuration
from asyncinvoke.local.functions.configuration import Handler
from asyncinvoke.local.functions.event_config import EventConfig
from asyncinvoke.local.handle import LocalFunction
from asyncinvoke.local.http import access
from asyncinvoke.local.management import packages
from asyncinvoke.local.numbers import flag, whole_number
from asyncinvoke.local.protocol.received import ReceivedInvocation
from asyncinvoke.local.service import Service
from asyncinvoke.local.service_config import ServiceConfig, guarded


class LocalLambda:
    """An embedded Lambda endpoint that runs real handlers.

    It speaks Lambda's wire protocol to any AWS SDK; set the SDK's endpoint URL to `url`. It listens
    on loopback; any other address needs both `host` and `allow_remote=True`. It rejects requests
    from web pages and unsigned requests; signatures are not verified. Enter it once, on asyncio or
    trio; on asyncio it serves on the running loop, on trio from a thread. On exit it stops
    accepting connections, cancels running executions, drops queued Events and ends its worker
    processes.

    Args:
        account_concurrency: Maximum number of concurrent executions (AWS's default quota is 1,000).
        port: The TCP port; 0 picks a free one.
        host: The IP address to listen on.
        allow_remote: Whether `host` may be reachable from other machines. They can then invoke the
            functions and run any code.
        allowed_hosts: Host names by which other machines address this one, such as that of a
            container. Requests for any other name than an IP address or `localhost` are rejected,
            as protection against DNS rebinding.
        allow_unsigned: Whether to accept unsigned requests, such as curl's; otherwise they get the
            service's 403.
        region_name: The region to report.
        account_id: The account id to report, twelve digits.
        limit_request_rate: Whether to limit each function to 10 requests per second per unit of
            concurrency, as AWS does.
        caller_rate: Maximum requests per second from all callers together; None for no limit. In
            AWS it depends on the account and operation.
        scaling_rate: Maximum number of new environments per function in 10 s (1,000 in AWS); None
            for no limit.
        event_time_scale: Real seconds per second of the Event queue: with 0.01 a failed Event is
            retried after 0.6 s instead of a minute.
        idle_timeout: Seconds after which an idle worker process is ended; None keeps it until the
            block exits. AWS does not document its value.
        reload: Whether later invocations use new worker processes after a change to the handler's
            file or to modules imported from its directory.
        sandbox: Whether each worker process has its own `/tmp` and read-only code, as in AWS (Linux
            only; if the system does not allow it, invocations fail and the log says why).
        freeze: Whether to suspend worker processes between invocations, as AWS does, so that
            nothing runs in the background.
        settling_time: Seconds for which a function created through the API is Pending, and an
            update is InProgress. In AWS it is usually a second or two.
        s3: Source of the code of functions created from S3: a directory with one subdirectory per
            bucket, or the URL of an endpoint, such as moto's.
        keep_requests: The number of latest Invoke requests to keep in `requests`, with payloads.
        on_invocation: Called with an `AnsweredInvocation` for each Invoke request, on the endpoint's
            loop, so it must not block; its exceptions are logged.
        on_log: Called in the same way with a `LogLine` for each log line of a worker process or of
            the platform.
        on_event: Called in the same way with an `EventProgress` after each run of an Event, and
            when the Event has ended.

    Raises:
        ValueError: A limit, rate, time, port, address, region or account id is out of range, or a
            flag is neither `True` nor `False`.
    """

    def __init__(
        self,
        *,
        account_concurrency: int = 1000,
        port: int = 0,
        host: str = access.LOOPBACK,
        allow_remote: bool = False,
        allowed_hosts: Collection[str] = (),
        allow_unsigned: bool = False,
        region_name: str = "us-east-1",
        account_id: str = "123456789012",
        limit_request_rate: bool = False,
        caller_rate: float | None = None,
        scaling_rate: int | None = None,
        event_time_scale: float = 1.0,
        idle_timeout: float | None = None,
        reload: bool = False,
        sandbox: bool = False,
        freeze: bool = False,
        settling_time: float = 0.2,
        s3: str | Path | None = None,
        keep_requests: int = 0,
        on_invocation: Callable[[AnsweredInvocation], None] | None = None,
        on_log: Callable[[LogLine], None] | None = None,
        on_event: Callable[[EventProgress], None] | None = None,
    ) -> None:
        self._port = whole_number("port", port, most=65_535)
        self._host = access.check_host(host, allow_remote=flag("allow_remote", allow_remote))
        self._service = Service(
            ServiceConfig(
                region_name=region_name,
                account_id=account_id,
                event_time_scale=event_time_scale,
                idle_timeout=idle_timeout,
                reload=reload,
                settling_time=settling_time,
                keep_requests=keep_requests,
                on_invocation=guarded("on_invocation", on_invocation),
                sandbox=sandbox,
                freeze=freeze,
                on_log=guarded("on_log", on_log),
                on_event=guarded("on_event", on_event),
                s3=packages.check_s3(s3),
                allow_unsigned=allow_unsigned,
                allowed_hosts=access.check_names(allowed_hosts),
            ),
            account_concurrency=account_concurrency,
        )
        self.limit_request_rate = limit_request_rate
        self.caller_rate = caller_rate
        self.scaling_rate = scaling_rate
        self._background: Background | None = None
        self._entered = False

    @property
    def url(self) -> str:
        """The endpoint URL, such as `http://127.0.0.1:PORT`; available once the block is entered."""
        if not self._entered:
            raise RuntimeError("LocalLambda has no url before its block is entered")
        return access.url_of(self._host, self._port)

    @property
    def region_name(self) -> str:
        """The region that the endpoint reports."""
        return self._service.config.region_name

    @property
    def account_concurrency(self) -> int:
        """Maximum number of concurrent executions; can be changed while the endpoint is running.

        Raises:
            ValueError: It is set below the sum of the reserved concurrency.
        """
        return self._service.admission.account_concurrency

    @account_concurrency.setter
    def account_concurrency(self, limit: int) -> None:
        self._service.admission.account_concurrency = limit

    @property
    def limit_request_rate(self) -> bool:
        """Whether request rates are limited; can be changed while the endpoint is running.

        Raises:
            ValueError: It is set to something other than `True` or `False`.
        """
        return self._service.admission.rates.is_request_rate_limited

    @limit_request_rate.setter
    def limit_request_rate(self, is_limited: bool) -> None:
        self._service.admission.rates.is_request_rate_limited = flag(
            "limit_request_rate", is_limited
        )

    @property
    def caller_rate(self) -> float | None:
        """Maximum requests per second; can be changed while the endpoint is running.

        Raises:
            ValueError: It is set to something other than a number above 0, or None.
        """
        return self._service.admission.rates.caller_rate

    @caller_rate.setter
    def caller_rate(self, rate: float | None) -> None:
        self._service.admission.rates.caller_rate = rate

    @property
    def scaling_rate(self) -> int | None:
        """Maximum new environments per function in 10 s; can be changed while the endpoint is running.

        Raises:
            ValueError: It is set to something other than a whole number above 0, or None.
        """
        return self._service.admission.rates.scaling_rate

    @scaling_rate.setter
    def scaling_rate(self, rate: int | None) -> None:
        self._service.admission.rates.scaling_rate = rate

    def function(
        self,
        name: str,
        handler: Handler | str,
        *,
        reserved_concurrency: int | None = None,
        timeout: float = 3,
        memory_size: int = 128,
        environment: Mapping[str, str] | None = None,
        events: EventConfig | None = None,
        directory: str | Path | None = None,
    ) -> LocalFunction:
        """Register a function, before the block is entered or inside it.

        Args:
            name: 1 to 64 letters, digits, hyphens or underscores.
            handler: A callable `handler(event, context)` that runs in this process, async on the
                endpoint's loop, sync in a thread. Or `"module:function"` or
                `"path/to/file.py:function"`, which runs in AWS's own runtime in worker processes
                (needs the extra `local`).
            reserved_concurrency: Concurrent executions reserved for the function; None shares the
                account's; 0 throttles every call.
            timeout: Time limit of one execution in seconds, up to 900 (AWS's default is 3). An async
                handler is cancelled, a worker process killed, a thread abandoned.
            memory_size: Memory in MB (AWS's default is 128). A worker process that uses more is
                killed (on Linux); for a callable it only appears in the context.
            environment: Environment variables for worker processes.
            events: Retries and destinations of the function's Events.
            directory: The directory from which worker processes import the module; by default the
                current one.

        Raises:
            ValueError: A value is out of range, the name is taken, or there is no such file.
            ModuleNotFoundError: The handler needs AWS's runtime and that is not installed.
        """
        config = configuration.check(
            name=name,
            handler=handler,
            timeout=timeout,
            memory_size=memory_size,
            environment=environment,
            events=events,
            directory=directory,
            region_name=self._service.config.region_name,
            account_id=self._service.config.account_id,
        )
        versions = self._service.registry.register(config, reserved_concurrency)
        return LocalFunction(versions, self._service.registry)

    def fault(self, step: Step, **options: Unpack[FaultOptions]) -> InjectedFault:
        """Inject a fault, before the block is entered or inside it, from any thread.

        At most one fault applies to a request: the first match, in the order in which they were
        added. The request counts as an invocation, and in `statistics().faults`.

        Args:
            step: The replacement for the service's response, such as `throttle()` or `Reset()`.
            **options: The requests that it applies to; all by default.

                - `function_name`: only requests for this function, by its bare name, with any
                  qualifier; it need not be registered.
                - `count`: at most this many requests; by default all, until the fault is removed.
                - `probability` (1.0): the probability that it applies to a request.
                - `seed` (0): the seed of the random numbers, 0 or more. The same seed selects the
                  same requests, in order of arrival.
                - `after_run` (False): whether the function runs first, and the step then replaces
                  its response. `Truncated` then truncates the real response. For steps that break
                  the connection, and for responses with a status from 400.

        Raises:
            ValueError: A value is out of range, or `after_run` does not apply to the step.
        """
        return self._service.faults.add(step, **options)

    @property
    def faults(self) -> tuple[InjectedFault, ...]:
        """The active faults: neither removed nor applied `count` times."""
        return self._service.faults.all

    @property
    def requests(self) -> tuple[ReceivedInvocation, ...]:
        """The latest completely received Invoke requests, oldest first; also after the block.

        Raises:
            RuntimeError: None are kept, because `keep_requests` is 0.
        """
        if not self._service.config.keep_requests:
            raise RuntimeError("no requests are kept: use LocalLambda(keep_requests=1000)")
        return tuple(self._service.received.copy())  # an atomic copy, even while requests arrive

    def statistics(self) -> LocalStatistics:
        """Return a frozen snapshot of the counters so far; also after the block."""
        return self._service.statistics()

    async def __aenter__(self) -> Self:
        """Start listening.

        Raises:
            OSError: The port is in use.
            RuntimeError: The endpoint was already entered.
        """
        if self._entered:
            raise RuntimeError("a LocalLambda can be entered once; make a new one")
        background = choose_background()
        self._port = await background.start(
            functools.partial(self._service.serve, self._port, self._host)
        )
        self._entered = True
        self._background = background
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop everything that the endpoint started, and wait for it."""
        background = self._background
        if background is not None:
            with anyio.CancelScope(shield=True):
                self._service.stop()
                self._background = None
                await background.join()

    def __repr__(self) -> str:
        state = self.url if self._background else "closed" if self._entered else "not started"
        return f"<LocalLambda {state} account_concurrency={self.account_concurrency}>"
