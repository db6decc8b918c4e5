"""`ResponseStream`: a function's streamed response, and the block that executes the call."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio

from asyncinvoke._engine.calls import Call
from asyncinvoke._engine.events import AttemptStarted
from asyncinvoke._engine.execution import Engine
from asyncinvoke._engine.frames import forget_frames, hide_frames
from asyncinvoke._engine.history import History
from asyncinvoke._engine.outcome import copied
from asyncinvoke._engine.stream_execution import Ending, StreamExecution
from asyncinvoke._limits.books import LimiterClosedError, PermitTimeoutError
from asyncinvoke._model.response import Attempt, Response, StreamHead
from asyncinvoke._transport.base import StreamingTransport
from asyncinvoke.errors import ConfigurationError, InvocationError


class ResponseStream:
    """A function's streamed output, as an async iterator of `bytes`; created by `Invoker.stream`.

    Chunks are yielded as the function wrote them, and are never empty. At most about 1 MiB is read
    ahead, so backpressure reaches a function that writes faster than its chunks are consumed.
    Iterating raises

    - `FunctionError` if the function failed while streaming,
    - `TransportError` if the stream was interrupted; its `code` is `TruncatedBody` if it ended
      without an end marker, `ChecksumMismatch` if it was corrupted, `ConnectionLost`, and so on,
    - another `InvocationError` if the service aborted the stream, or the timeout expired,
    - `ConfigurationError` if another task is waiting for a chunk,
    - `anyio.ClosedResourceError` once the block was left or a wait for a chunk was cancelled.
    """

    def __init__(self, source: "StreamExecution | Response[Any]") -> None:
        self._source = source
        self._head = source if isinstance(source, Response) else source.head
        self._response = source if isinstance(source, Response) else None
        self._error: InvocationError | None = None
        self._is_closed = False
        self._is_awaited = False
        self._arrived = deque[bytes]()
        if isinstance(source, StreamExecution):
            self._arrived = source.chunks
            self._check_loop = source.check_loop

    @property
    def status_code(self) -> int:
        """The HTTP status, 200."""
        return self._head.status_code

    @property
    def executed_version(self) -> str | None:
        """The version that is running."""
        return self._head.executed_version

    @property
    def request_id(self) -> str | None:
        """The AWS request ID, available to the function as `aws_request_id`."""
        return self._head.request_id

    @property
    def content_type(self) -> str | None:
        """The `Content-Type` of the response, which is that of the frames around the chunks."""
        return self._head.content_type if isinstance(self._head, StreamHead) else None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All completed attempts; the streaming one is added once it has ended."""
        return self._source.attempts if self._response is None else self._response.attempts

    @property
    def response(self) -> Response[Any] | None:
        """The response of the execution; `None` until the stream has ended successfully.

        `log_result` is set if `log_type` was `Tail`. The payload is empty, since the chunks were
        already yielded. If the function failed and `raise_on_function_error` is off,
        `function_error` is set and the payload is the error.
        """
        return self._response

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._arrived:
            # In a large stream, nearly every chunk arrives with others, and this is all it costs.
            self._check_loop()
            return self._arrived.popleft()
        return await self._receive()

    async def _receive(self) -> bytes:
        """Wait for a chunk or the end."""
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
        self._check_loop()
        self._is_awaited = True
        try:
            received = await self._source.receive()
        except BaseException:
            self._close_now()
            await self._source.abandon()
            raise
        finally:
            self._is_awaited = False
        if isinstance(received, bytes):
            return received
        if self._is_closed:  # the block was left in the meantime
            raise anyio.ClosedResourceError
        if isinstance(received, InvocationError):
            # Keep a copy, since the raised one refers to this object through its traceback.
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

    def _close_now(self) -> None:
        self._is_closed = True
        self._arrived.clear()

    async def _close(self) -> None:
        self._close_now()
        if isinstance(self._source, StreamExecution):
            await self._source.abandon()


@asynccontextmanager
async def open_stream(
    engine: Engine, transport: StreamingTransport, call: Call, payload: bytes
) -> AsyncIterator[ResponseStream]:
    """Execute a call until its first chunk arrives, and yield the stream.

    This block holds the permit and releases it as soon as the stream has ended. The loop is that of
    `Engine.execute`, with the caller's block where that returns a response.
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
                ending.emit(AttemptStarted, number=history.number + 1, waited=permit.waited)
                execution = StreamExecution(engine, history, permit, call, ending)
                try:
                    failed = await execution.begin(transport, payload)
                except BaseException as error:
                    forget_frames(error)
                    raise
                if failed is None:
                    payload = b""  # keeps the payload out of this long-lived frame
                    ending.hand_over()
                    stream = ResponseStream(execution)
                    engine.in_progress.lend()
                    try:
                        yield stream
                        return
                    finally:
                        engine.in_progress.reclaim()
                        await stream._close()  # noqa: SLF001
                answer, verdict = failed
            if verdict is None:
                continue
            ended = execution.failed(answer, verdict)
            if not isinstance(ended, float):
                ending.come(ended)
                break
            await engine.back_off(call, history, ended)
    except (PermitTimeoutError, LimiterClosedError) as refused:
        ended = history.without_permit(refused, now=clock.monotonic())
        ending.come(ended)
    except BaseException as error:
        payload = b""
        hide_frames(error)
        raise
    finally:
        engine.in_progress.end()
        ending.come(None)
    if isinstance(ended, InvocationError):
        try:
            raise ended
        finally:
            # Otherwise the error, its traceback and this frame form a cycle that holds the payload.
            del ended, payload, call
    yield ResponseStream(ended)
