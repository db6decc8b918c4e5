"""`ResponseStream`: a function's streamed answer, and the block that executes the call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio

from asyncinvoke._engine.calls import Call
from asyncinvoke._engine.events import AttemptStarted
from asyncinvoke._engine.execution import Engine, forget_frames
from asyncinvoke._engine.history import History
from asyncinvoke._engine.outcome import copied
from asyncinvoke._engine.stream_execution import Ending, StreamExecution
from asyncinvoke._limits.books import LimiterClosedError, PermitTimeoutError
from asyncinvoke._model.response import Attempt, Response, StreamHead
from asyncinvoke._telemetry.attributes import log_retry
from asyncinvoke._transport.base import StreamingTransport
from asyncinvoke.errors import ConfigurationError, InvocationError


class ResponseStream:
    """What a function writes, as an async iterator of `bytes`; made by `Invoker.stream`.

    Chunks come as the function wrote them, and never empty. Nothing is read ahead: a function that
    writes faster than chunks are taken has to wait. Taking one raises

    - `FunctionError` if the function failed in between,
    - `TransportError` if the stream broke off; its `code` is `TruncatedBody` for one that ended
      without saying so, `ChecksumMismatch` for a damaged one, `ConnectionLost` and so on,
    - another `InvocationError` if the service broke it off, or the timeout passed,
    - `ConfigurationError` while another task waits for one,
    - `anyio.ClosedResourceError` once the block was left or a wait for a chunk was cancelled.
    """

    def __init__(self, source: "StreamExecution | Response[Any]") -> None:
        self._source = source
        self._head = source if isinstance(source, Response) else source.head
        self._response = source if isinstance(source, Response) else None
        self._error: InvocationError | None = None
        self._is_closed = False
        self._is_awaited = False

    @property
    def status_code(self) -> int:
        """The HTTP status, 200."""
        return self._head.status_code

    @property
    def executed_version(self) -> str | None:
        """The version that runs."""
        return self._head.executed_version

    @property
    def request_id(self) -> str | None:
        """AWS's id of the request, which the function sees as `aws_request_id`."""
        return self._head.request_id

    @property
    def content_type(self) -> str | None:
        """The answer's `Content-Type`, which is that of the frames around the chunks."""
        return self._head.content_type if isinstance(self._head, StreamHead) else None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every try that is over; the one that streams is the last of them once it has ended."""
        return self._source.attempts if self._response is None else self._response.attempts

    @property
    def response(self) -> Response[Any] | None:
        """The response of the execution; `None` until the stream has ended well.

        `log_result` is there if `log_type` was `Tail`. The payload is empty, for the chunks were
        handed out; but where a function failed and the caller asked not to raise, `function_error`
        is set and the payload is the error.
        """
        return self._response

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._error is not None:
            raise copied(self._error)
        if self._response is not None or isinstance(self._source, Response):
            raise StopAsyncIteration
        if self._is_closed:
            raise anyio.ClosedResourceError
        if self._is_awaited:
            raise ConfigurationError(
                "another task waits for the next chunk of this stream: only one task at a time may"
            )
        self._source.check_loop()
        self._is_awaited = True
        try:
            received = await self._source.receive()
        except BaseException:
            self._is_closed = True
            await self._source.abandon()
            raise
        finally:
            self._is_awaited = False
        if isinstance(received, bytes):
            return received
        if self._is_closed:  # by whoever left the block meanwhile, and not by the service
            raise anyio.ClosedResourceError
        if isinstance(received, InvocationError):
            # A copy is kept, since the one that is raised leads back here by its traceback.
            self._error = copied(received)
            try:
                raise received
            finally:
                del received
        self._response = received
        raise StopAsyncIteration

    def __repr__(self) -> str:
        ending = self._error or self._response or self._is_closed
        return f"<ResponseStream {'ended' if ending else 'open'}, request {self.request_id}>"

    async def _close(self) -> None:
        self._is_closed = True
        if isinstance(self._source, StreamExecution):
            await self._source.abandon()


@asynccontextmanager
async def open_stream(
    engine: Engine, transport: StreamingTransport, call: Call, payload: bytes
) -> AsyncIterator[ResponseStream]:
    """Execute a call until its first chunk has come, and yield the stream.

    The permit is held by this block, and given back as soon as the stream has ended: the loop is
    that of `Engine.execute`, with the caller's own block in the place where a response is returned.
    """
    engine.waits.check_loop()
    clock = engine.clock
    began = clock.monotonic()
    history = History(call, began=began, deadline=began + call.timeout)
    ended: InvocationError | Response[Any] | float
    ending = Ending(engine, call, began)
    engine.begin(call)
    try:
        ending.begin()
        while True:
            async with engine.limiter.permit(call.key, deadline=history.deadline) as permit:
                engine.tally.attempts += 1
                if history.number:
                    engine.tally.retries += 1
                ending.tell(AttemptStarted, number=history.number + 1, waited=permit.waited)
                execution = StreamExecution(engine, history, permit, call, ending)
                try:
                    failed = await execution.begin(transport, payload)
                except BaseException as error:
                    forget_frames(error)
                    raise
                if failed is None:
                    payload = b""  # whoever shows this frame, and it lasts, shows no payload
                    ending.hand_over()
                    stream = ResponseStream(execution)
                    try:
                        yield stream
                        return
                    finally:
                        await stream._close()  # noqa: SLF001
                answer, verdict = failed
            if verdict is None:
                continue
            ended = execution.failed(answer, verdict)
            if not isinstance(ended, float):
                ending.come(ended)
                break
            log_retry(call.parameters.target, history.last)
            await engine.back_off(ended, history.deadline)
    except (PermitTimeoutError, LimiterClosedError) as refused:
        ended = history.without_permit(refused, now=clock.monotonic())
        ending.come(ended)
    except BaseException:
        payload = b""
        raise
    finally:
        engine.over()
        ending.come(None)
    if isinstance(ended, InvocationError):
        try:
            raise ended
        finally:
            # Or the error, its traceback and this frame would keep each other and the payload.
            del ended, payload, call
    yield ResponseStream(ended)
