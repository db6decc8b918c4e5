"""`FakeLambda`: a transport without sockets, for unit tests of code that invokes functions."""

import sys
from collections.abc import Mapping

import anyio.lowlevel

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._request.request import InvocationType
from asyncinvoke._transport.answers import ACCEPTED
from asyncinvoke._transport.base import Stream
from asyncinvoke.local.faults.fault import Faults, InjectedFault
from asyncinvoke.local.faults.steps import Answer, Reset, Step
from asyncinvoke.local.functions.configuration import Handler
from asyncinvoke.local.statistics import LocalStatistics
from asyncinvoke.local.tally import Tally
from asyncinvoke.local.wire import answers, json_faults
from asyncinvoke.local.wire.names import LATEST
from asyncinvoke.local.wire.received import ReceivedInvocation, ReceivedInvocations
from asyncinvoke.local.wire.requests import Request
from asyncinvoke.testing.fake.runs import Arrived, Run
from asyncinvoke.testing.fake.steps import play, play_stream
from asyncinvoke.testing.fake.streams import open_run


class FakeLambda:
    """Stands in for the wire: `Invoker(transport=FakeLambda({"resize": handler}))`.

    Everything above the wire is the real thing: checks, retries, limits, errors, streams. There is
    no client, so no region and no credentials are needed, and nothing is sent. Handlers run in the
    task that invokes them: a sync one blocks it, and no timeout ends one. An Event's handler has
    run before the answer comes; what it raises is lost. Any qualifier will do. For limits,
    timeouts, versions, worker processes and the Event queue use a `LocalLambda`, whose `function`,
    `fault`, `requests` and `statistics` these are.

    Args:
        functions: The handler of each function, as `function` takes it.
        read_timeout: How long an attempt waits for a `Stall` to end, in seconds of real time.
    """

    def __init__(
        self, functions: Mapping[str, Handler] | None = None, *, read_timeout: float = 960.0
    ) -> None:
        self._handlers: dict[str, Handler] = {}
        self._faults = Faults()
        self._received = ReceivedInvocations(sys.maxsize)
        self._tally = Tally()
        self._read_timeout = read_timeout
        for name, handler in (functions or {}).items():
            self.function(name, handler)

    def function(self, name: str, handler: Handler) -> None:
        """Register a function, or replace its handler.

        Args:
            name: Its bare name. A function that is not registered is not found.
            handler: `handler(event, context)`, sync or async; it may yield.
        """
        self._handlers[name] = handler
        self._tally.know(name)

    def fault(
        self,
        step: Step,
        *,
        function_name: str | None = None,
        count: int | None = None,
        probability: float = 1.0,
        seed: int = 0,
        after_run: bool = False,
    ) -> InjectedFault:
        """Let requests meet a fault; see `LocalLambda.fault`.

        The bytes of a `Raw` or `Stall` step are never read as an answer.

        Raises:
            ValueError: A value is out of range, or `after_run` is of no use with the step.
        """
        return self._faults.add(
            step,
            function_name=function_name,
            count=count,
            probability=probability,
            seed=seed,
            after_run=after_run,
        )

    @property
    def requests(self) -> tuple[ReceivedInvocation, ...]:
        """Every request so far that was read as a whole, oldest first."""
        return self._received.latest

    def statistics(self) -> LocalStatistics:
        """Return a frozen snapshot of what has arrived and run so far."""
        return self._tally.statistics()

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Make one attempt whose answer is read as a whole."""
        progress.phase = Phase.WRITTEN  # as far as it may have come
        arrived = await self._arrive(parameters, payload, streams=False)
        run = await self._step(arrived) or self._run(arrived)
        if not isinstance(run, Run):
            return await play(
                run,
                arrived.request_id,
                accepted=ACCEPTED[parameters.invocation_type],
                read_timeout=self._read_timeout,
            )
        if parameters.invocation_type is InvocationType.DRY_RUN:
            return Reply(status_code=204, payload=b"", request_id=arrived.request_id)
        await run.whole()
        if parameters.invocation_type is InvocationType.EVENT:
            return Reply(status_code=202, payload=b"", request_id=arrived.request_id)
        return run.reply()

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Stream | Failure:
        """Make one attempt whose answer is read as it comes."""
        progress.phase = Phase.WRITTEN  # as far as it may have come
        arrived = await self._arrive(parameters, payload, streams=True)
        run = await self._step(arrived) or self._run(arrived)
        if isinstance(run, Run):
            return open_run(run)
        return await play_stream(run, arrived.request_id, read_timeout=self._read_timeout)

    async def _arrive(
        self, parameters: InvokeParameters, payload: bytes, *, streams: bool
    ) -> Arrived:
        await anyio.lowlevel.checkpoint()
        request = Request(
            function_name=parameters.target.function_name,
            qualifier=parameters.target.qualifier,
            invocation_type=parameters.invocation_type.value,
            log_type=parameters.log_type.value,
            client_context=parameters.client_context,
            tenant_id=parameters.tenant_id,
            trace_id=None,
            body=payload,
            size=len(payload),
            streams=streams,
        )
        name = parameters.target.name
        counters = self._tally.of(name)
        for each in counters:
            each.invocations += 1
        return Arrived(name=name, request=request, counters=counters)

    async def _step(self, arrived: Arrived) -> Step | None:
        """Return the step of the fault that a request meets, after the run if that comes first."""
        fault = self._faults.find(arrived.name)
        if fault is None or not isinstance(fault.step, Reset) or fault.step.read:
            self._received.add(arrived.request, arrived.request_id)
        if fault is None:
            return None
        for each in arrived.counters:
            each.faults += 1
        if fault.after_run:
            run = self._run(arrived)
            if isinstance(run, Run) and arrived.request.invocation_type != InvocationType.DRY_RUN:
                await run.whole()
        return fault.step

    def _run(self, arrived: Arrived) -> Run | Answer:
        """Return the run of a handler, or what is answered instead."""
        handler = self._handlers.get(arrived.name)
        if handler is None:
            arn = f"{arrived.arn}:{arrived.request.qualifier or LATEST}"
            return _refusal(answers.function_not_found(arrived.request_id, arn))
        try:
            return Run(handler, arrived)
        except (ValueError, RecursionError) as error:
            detail = json_faults.describe(arrived.request.body, error)
            return _refusal(answers.bad_json(arrived.request_id, detail))


def _refusal(answer: answers.Answer) -> Answer:
    return Answer(status_code=answer.status, payload=answer.body, headers=answer.headers)
