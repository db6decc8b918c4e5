"""The functions of the fake, validated and run by the endpoint's own code.

There are no limits, queue or versions: any qualifier runs the same handler, in the caller's task.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace

from asyncinvoke.local import checks
from asyncinvoke.local.counters import Counters
from asyncinvoke.local.execution import logs
from asyncinvoke.local.execution.calling import InTask
from asyncinvoke.local.execution.handler_run import HandlerRun
from asyncinvoke.local.execution.invocation import Invocation
from asyncinvoke.local.functions import configuration
from asyncinvoke.local.functions.configuration import FunctionConfig, Handler, Source
from asyncinvoke.local.protocol import answers, event_stream, names, refusals
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.protocol.names import LATEST
from asyncinvoke.local.protocol.received import ReceivedInvocation
from asyncinvoke.local.protocol.refusals import Refusal

# The defaults of `LocalLambda`.
REGION = "us-east-1"
ACCOUNT = "123456789012"


class FakeFunctions:
    """Runs handlers for requests.

    Args:
        counters: The counters of executions.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._configs: dict[str, FunctionConfig] = {}

    def register(self, name: str, handler: Handler) -> None:
        """Register a function, or replace its handler.

        Raises:
            ValueError: The name is invalid, or the handler is not callable.
        """
        if not callable(handler):
            raise ValueError(f"handler {handler!r} of {name!r} must be a callable")  # noqa: TRY004  # as for any invalid value
        self._configs[name] = configuration.check(
            name=name, handler=handler, region_name=REGION, account_id=ACCOUNT
        )

    async def answer(self, request: ReceivedInvocation) -> Answer:
        """Return the whole response to a request."""
        try:
            invocation, run = self._begin(request)
        except Refusal as refusal:
            return refusal.answer(request.request_id)
        if request.invocation_type == "DryRun":
            return answers.dry_run(request.request_id, invocation.trace_id)
        if request.streams:
            pieces = [piece async for piece in self._pieces(invocation, run)]
            return answers.as_stream(run.result().answer(invocation), pieces)
        with self._counted(invocation, run):
            await run.whole()
        if request.invocation_type == "Event":
            return answers.accepted(request.request_id, invocation.trace_id)
        return run.result().answer(invocation)

    def stream(self, request: ReceivedInvocation) -> tuple[Answer, AsyncGenerator[bytes, None]]:
        """Return the head and body of a response; the handler runs while the body is read."""
        try:
            invocation, run = self._begin(request)
        except Refusal as refusal:
            refused = refusal.answer(request.request_id)
            return refused, once(refused.payload)
        return invocation.stream_head(), self._frames(invocation, run)

    def _begin(self, request: ReceivedInvocation) -> tuple[Invocation, HandlerRun]:
        """Return the invocation and the run of its handler, not yet started.

        Raises:
            Refusal: The request is refused.
        """
        checks.check_size(request)
        event, client_context = (
            checks.read_event(request.payload),
            checks.read_client_context(request),
        )
        name = names.bare_name(request.function_name)
        config = self._configs.get(name)
        if config is None:
            arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
            raise refusals.function_not_found(f"{arn}:{request.qualifier or LATEST}")
        qualifier = request.qualifier or LATEST
        config = replace(config, version=qualifier if qualifier.isdigit() else LATEST)
        invocation = checks.invocation_of(
            request,
            config,
            request.qualifier,
            event=event,
            client_context=client_context,
            trace_id="",
        )
        assert not isinstance(config.handler, Source)  # noqa: S101  # `register` accepts only callables
        run = HandlerRun(
            config.handler,
            invocation,
            config,
            calls=InTask(),
            log_stream_name=logs.new_stream_name(config.version),
        )
        return invocation, run

    async def _frames(self, invocation: Invocation, run: HandlerRun) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._pieces(invocation, run)) as pieces:
            async for piece in pieces:
                if piece:
                    yield event_stream.payload_chunk(piece)
        answer = run.result().answer(invocation)
        if answer.payload and not answers.has_failed(answer):
            yield event_stream.payload_chunk(answer.payload)
        yield answers.last_frame(answer)

    async def _pieces(self, invocation: Invocation, run: HandlerRun) -> AsyncGenerator[bytes, None]:
        with self._counted(invocation, run):
            async with aclosing(run.pieces()) as pieces:
                async for piece in pieces:
                    yield piece

    @contextmanager
    def _counted(self, invocation: Invocation, run: HandlerRun) -> Iterator[None]:
        name = invocation.function_name
        self._counters.add(name, executions=1, in_flight=1)
        try:
            yield
        finally:
            self._counters.add(name, in_flight=-1, function_errors=int(run.has_failed))


async def once(body: bytes) -> AsyncGenerator[bytes, None]:
    """Yield a whole body."""
    if body:
        yield body
