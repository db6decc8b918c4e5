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
from asyncinvoke.local.numbers import whole_number
from asyncinvoke.local.protocol.received import ReceivedInvocation
from asyncinvoke.local.service import Service
from asyncinvoke.local.service_config import ServiceConfig


class LocalLambda:
    """An embedded Lambda endpoint that runs real handlers.

    It speaks the service's wire protocol to any AWS SDK; point the SDK's endpoint URL at `url`. It
    listens on loopback; any other address needs both `host` and `allow_remote=True`. It takes
    nothing from a web page, and only signed requests, whatever the signature. Enter it once, on asyncio or trio; it serves on asyncio's loop, on trio
    from a thread. On leaving the block it stops accepting, cancels what runs, drops queued Events
    and ends its worker processes.

    Args:
        account_concurrency: Executions that may run at once (AWS's default quota is 1,000).
        port: The TCP port; 0 takes a free one.
        host: The IP address to listen on.
        allow_remote: Whether that may be one that other machines reach. Whoever reaches it can run
            what it serves, and whatever code they like.
        allowed_hosts: Names by which other machines call this one, such as that of a container.
            Without one a request must be for an address or for `localhost`, or it may come from a
            web page whose owner leads a name of his own here.
        allow_unsigned: Whether requests are answered that nobody signed, such as curl's. Others get
            the service's 403.
        region_name: The region it says it is in.
        account_id: The account it says it is, twelve digits.
        limit_request_rate: Whether a function takes only 10 requests per second for each unit of
            its concurrency, as in AWS.
        caller_rate: Requests per second that the endpoint takes from all callers; None for any
            number. AWS's own number differs by account and operation.
        scaling_rate: Environments that a function may gain in 10 s (1,000 in AWS); None for any
            number.
        event_time_scale: How many seconds one second of the Event queue takes: with 0.01 the second
            run of a failing Event comes after 0.6 s instead of a minute.
        idle_timeout: Seconds after which an idle worker process is ended; None keeps it until the
            block is left. AWS does not say how long it keeps one.
        reload: Whether a change of a handler's file, or of what it imports from its folder, gives
            later invocations new worker processes.
        sandbox: Whether each worker process has a `/tmp` of its own and code that it cannot write
            to, as in AWS (on Linux, where the system allows it; where not, the function's log says
            so, and its invocations fail).
        freeze: Whether worker processes are stopped between invocations, as in AWS, so that nothing
            goes on in the background.
        settling_time: Seconds for which a function that was created through the API is Pending, and
            an update is InProgress. AWS takes longer, mostly a second or two.
        s3: Where the code of functions is found that are created from S3: a folder that holds one
            for each bucket, or the URL of an endpoint, such as moto's.
        keep_requests: How many of the latest Invoke requests `requests` gives, with their payloads.
        on_invocation: Called with an `AnsweredInvocation` for each Invoke request, on the endpoint's
            loop; must neither block nor raise.
        on_log: Called in the same way with a `LogLine` for each line that worker processes write,
            and that the platform writes around them.
        on_event: Called in the same way with an `EventProgress` when a run of an Event has ended,
            and when the Event has.

    Raises:
        ValueError: For a limit, rate, time, port, address, region or account id out of range.
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
        self._host = access.check_host(host, allow_remote=allow_remote)
        self._service = Service(
            ServiceConfig(
                region_name=region_name,
                account_id=account_id,
                event_time_scale=event_time_scale,
                idle_timeout=idle_timeout,
                reload=reload,
                settling_time=settling_time,
                keep_requests=keep_requests,
                on_invocation=on_invocation,
                sandbox=sandbox,
                freeze=freeze,
                on_log=on_log,
                on_event=on_event,
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
        """What to give an SDK as endpoint URL, `http://127.0.0.1:PORT`, once the block is entered."""
        if not self._entered:
            raise RuntimeError("LocalLambda has no url before its block is entered")
        return access.url_of(self._host, self._port)

    @property
    def region_name(self) -> str:
        """The region it says it is in."""
        return self._service.config.region_name

    @property
    def account_concurrency(self) -> int:
        """Executions that may run at once; may be set while the endpoint runs.

        Raises:
            ValueError: On setting it below what functions have reserved.
        """
        return self._service.admission.account_concurrency

    @account_concurrency.setter
    def account_concurrency(self, limit: int) -> None:
        self._service.admission.account_concurrency = limit

    @property
    def limit_request_rate(self) -> bool:
        """Whether request rates are limited; may be set while the endpoint runs."""
        return self._service.admission.rates.is_request_rate_limited

    @limit_request_rate.setter
    def limit_request_rate(self, is_limited: bool) -> None:
        self._service.admission.rates.is_request_rate_limited = is_limited

    @property
    def caller_rate(self) -> float | None:
        """Requests per second that the endpoint takes; may be set while the endpoint runs.

        Raises:
            ValueError: On setting what is not a number above 0, or None.
        """
        return self._service.admission.rates.caller_rate

    @caller_rate.setter
    def caller_rate(self, rate: float | None) -> None:
        self._service.admission.rates.caller_rate = rate

    @property
    def scaling_rate(self) -> int | None:
        """Environments that a function may gain in 10 s; may be set while the endpoint runs.

        Raises:
            ValueError: On setting what is not a whole number above 0, or None.
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
            reserved_concurrency: Executions that it may run at once, set apart from the account's;
                None shares the account's; 0 throttles every call.
            timeout: Seconds for one execution, up to 900 (AWS's default is 3). An async handler is
                cancelled, a worker process killed, a thread abandoned.
            memory_size: MB of memory (AWS's default is 128). A worker process that uses more is
                killed (on Linux); for a callable it is only what the context names.
            environment: Environment variables for worker processes.
            events: How its Events are run again, and who hears how they ended.
            directory: Where worker processes import the module from; default is the current one.

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
        """Let requests meet a fault, before the block is entered or inside it, from any thread.

        A request meets one fault at most: the first that applies, in the order in which they were
        set. It counts as an invocation, and in `statistics().faults`.

        Args:
            step: What happens in place of the service's answer, such as `throttle()` or `Reset()`.
            **options: Which requests meet it: all, without any.

                - `function_name`: those for one function, by its bare name, whatever their
                  qualifier; it need not be known.
                - `count`: so many at most; without it all until the fault is removed.
                - `probability` (1.0): a part of them, by chance.
                - `seed` (0): of its random numbers, 0 or more: the same seed chooses the same
                  requests, in the order in which they arrive.
                - `after_run` (False): whether the request is served first, and the function runs,
                  before its answer is lost to the step. `Truncated` then cuts the real answer. Of
                  use with steps that break the connection and with answers from status 400.

        Raises:
            ValueError: A value is out of range, or `after_run` is of no use with the step.
        """
        return self._service.faults.add(step, **options)

    @property
    def faults(self) -> tuple[InjectedFault, ...]:
        """The faults that were set and are there yet: neither removed nor met `count` times."""
        return self._service.faults.all

    @property
    def requests(self) -> tuple[ReceivedInvocation, ...]:
        """The latest Invoke requests that arrived whole, oldest first; also after the block.

        Raises:
            RuntimeError: None are kept, because `keep_requests` is 0.
        """
        if not self._service.config.keep_requests:
            raise RuntimeError("no requests are kept: use LocalLambda(keep_requests=1000)")
        return tuple(self._service.received.copy())  # what copies it whole, whatever arrives

    def statistics(self) -> LocalStatistics:
        """Return a frozen snapshot of what has arrived and run so far; also after the block."""
        return self._service.statistics()

    async def __aenter__(self) -> Self:
        """Start to listen.

        Raises:
            OSError: The port is in use.
            RuntimeError: It was entered before.
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
        """End everything that the endpoint started, and wait for it."""
        background = self._background
        if background is not None:
            with anyio.CancelScope(shield=True):
                self._service.stop()
                self._background = None
                await background.join()

    def __repr__(self) -> str:
        state = self.url if self._background else "closed" if self._entered else "not started"
        return f"<LocalLambda {state} account_concurrency={self.account_concurrency}>"
