"""`FakeLambda`: a transport without sockets, for unit tests of code that invokes functions."""

import uuid
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Unpack

import anyio.lowlevel

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._telemetry.trace import TRACE
from asyncinvoke._transport.answers import ACCEPTED
from asyncinvoke._transport.base import Stream
from asyncinvoke.local.counters import Counters, LocalStatistics
from asyncinvoke.local.faults import player
from asyncinvoke.local.faults.injected import FaultOptions, Faults, InjectedFault
from asyncinvoke.local.faults.steps import Step, is_read
from asyncinvoke.local.functions.configuration import Handler
from asyncinvoke.local.protocol import names
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.protocol.received import ReceivedInvocation
from asyncinvoke.testing.fake.functions import FakeFunctions, once
from asyncinvoke.testing.fake.receiving import Recording, open_stream, read_whole


class FakeLambda:
    """A transport without a network: `Invoker(transport=FakeLambda({"resize": handler}))`.

    Everything above the transport is real: validation, retries, limits, errors and streams. No
    region or credentials are needed, and nothing is sent. Handlers run in the task that invokes
    them: a sync handler blocks it, and there are no timeouts. An Event's handler has finished when
    the response arrives, and its exceptions are ignored. Any qualifier is accepted. For limits,
    timeouts, versions, worker processes and the Event queue use `LocalLambda`, which has the same
    `function`, `fault`, `requests` and `statistics`.

    Args:
        functions: Handlers by function name; see `function`.
        read_timeout: Real seconds for which an attempt waits during a `Stall`.
    """

    def __init__(
        self, functions: Mapping[str, Handler] | None = None, *, read_timeout: float = 960.0
    ) -> None:
        self._counters = Counters()
        self._functions = FakeFunctions(self._counters)
        self._faults = Faults()
        self._received: list[ReceivedInvocation] = []
        self._read_timeout = read_timeout
        for name, handler in (functions or {}).items():
            self.function(name, handler)

    def function(self, name: str, handler: Handler) -> None:
        """Register a function, or replace its handler.

        Args:
            name: The bare name. Invoking an unregistered function fails with not found.
            handler: `handler(event, context)`, sync or async, optionally a generator.

        Raises:
            ValueError: The name is invalid, or the handler is not callable.
        """
        self._functions.register(name, handler)
        self._counters.register(name)

    def fault(self, step: Step, **options: Unpack[FaultOptions]) -> InjectedFault:
        """Inject a fault; see `LocalLambda.fault` for the options.

        The bytes of a `Raw` or `Stall` step are never parsed as a response.

        Raises:
            ValueError: A value is out of range, or `after_run` does not apply to the step.
        """
        return self._faults.add(step, **options)

    @property
    def faults(self) -> tuple[InjectedFault, ...]:
        """The active faults: neither removed nor applied `count` times."""
        return self._faults.all

    @property
    def requests(self) -> tuple[ReceivedInvocation, ...]:
        """All completely received requests so far, oldest first."""
        return tuple(self._received)

    def statistics(self) -> LocalStatistics:
        """Return a frozen snapshot of the counters so far."""
        return self._counters.statistics()

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Make one attempt with a buffered response."""
        request = await self._arrive(parameters, payload, progress, streams=False)
        head, body = await self._exchange(request)
        accepted = ACCEPTED[parameters.invocation_type]
        return await read_whole(head, body, progress, accepted=accepted)

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Stream | Failure:
        """Make one attempt with a streamed response."""
        request = await self._arrive(parameters, payload, progress, streams=True)
        return await open_stream(*await self._exchange(request), progress)

    async def _arrive(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress, *, streams: bool
    ) -> ReceivedInvocation:
        await anyio.lowlevel.checkpoint()
        # A call cancelled before this point has sent nothing. Without a wire, nothing is ever sent
        # partially: from here on, the request has arrived and counts as a delivery.
        progress.phase = Phase.WRITTEN
        self._counters.add(parameters.target.name, invocations=1)
        return ReceivedInvocation(
            request_id=str(uuid.uuid4()),
            function_name=parameters.target.function_name,
            qualifier=parameters.target.qualifier,
            invocation_type=parameters.invocation_type.value,
            log_type=parameters.log_type.value,
            encoded_client_context=parameters.client_context,
            tenant_id=parameters.tenant_id,
            trace_id=TRACE.get(),
            durable_execution_name=parameters.durable_execution_name,
            streams=streams,
            payload=payload,
            size=len(payload),
        )

    async def _exchange(
        self, request: ReceivedInvocation
    ) -> tuple[Answer | None, AsyncGenerator[bytes, None]]:
        """Return the head of the response, None if there is none, and its body."""
        fault = self._faults.take(request.function_name)
        if fault is None or is_read(fault.step):
            self._received.append(request)
        if fault is not None:
            self._counters.add(names.bare_name(request.function_name), faults=1)
            run = partial(self._functions.answer, request) if fault.after_run else None
            answer = await player.answer_of(fault.step, request.request_id, run=run)
            wire = Recording()
            await player.play(fault.step, answer, wire)
            return wire.head, wire.body(read_timeout=self._read_timeout)
        if request.streams:
            return self._functions.stream(request)
        answer = await self._functions.answer(request)
        return answer, once(answer.payload)
