"""`ResponseStream`: what a function writes, as the caller takes it, and the execution behind it."""

import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Self

import anyio

from asyncinvoke._engine.attempt import Permits
from asyncinvoke._engine.execute import Executor
from asyncinvoke._engine.execution import Execution, Failed
from asyncinvoke._engine.options import Call
from asyncinvoke._limits.permit import Permit
from asyncinvoke._model.delivery import Delivery, Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Attempt, Response, StreamEnd, StreamHead
from asyncinvoke._retries.classify import FUNCTION_FAILED, classify
from asyncinvoke._transport.base import Stream, StreamingTransport
from asyncinvoke.errors import InvocationError


class StreamAttempt:
    """One attempt, up to the first chunk."""

    def __init__(self, transport: StreamingTransport, permits: Permits) -> None:
        self._transport = transport
        self._permits = permits

    async def __call__(self, execution: Execution, payload: bytes) -> "StreamExecution | Failed":
        """Make an attempt; only cancellation is raised."""
        async with AsyncExitStack() as stack:
            permit = await stack.enter_async_context(self._permits.permit(execution))
            self._permits.begin(execution)
            stream = await self._transport.open(execution.call.parameters, payload, Progress())
            if isinstance(stream, Failure):
                return self._permits.failed(permit, stream)
            # From here on the stream holds it.
            stack.pop_all()
        opened = StreamExecution(stream, execution, permit, self._permits)
        return await opened.begin()


class StreamExecution:
    """A stream with the permit that it holds and the history that it ends.

    Its head says 200, so Lambda has admitted the request, whatever it says later.
    """

    def __init__(
        self, stream: Stream, execution: Execution, permit: Permit, permits: Permits
    ) -> None:
        self.head = stream.head
        self._stream = stream
        self._execution = execution
        self._permit: Permit | None = permit
        self._permits = permits
        self._first: bytes | StreamEnd | None = None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The tries that are over."""
        return tuple(self._execution.attempts)

    async def begin(self) -> "StreamExecution | Failed":
        """Wait for the first chunk, or an end without one."""
        try:
            first = await self._stream.receive()
        except BaseException:
            await self.abandon()
            raise
        if isinstance(first, Failure):
            await self.abandon()
            return self._failed(first, Delivery.UNKNOWN)
        if isinstance(first, StreamEnd) and first.error_code is not None:
            await self._finish()
            return Failed(first.reply(self.head), FUNCTION_FAILED)
        self._first = first
        return self

    async def receive(self) -> bytes | Response | InvocationError:
        """Return the next chunk, or what the execution came to."""
        received: bytes | StreamEnd | Failure | InvocationError
        first, self._first = self._first, None
        received = await self._next() if first is None else first
        if isinstance(received, bytes):
            return received
        if isinstance(received, StreamEnd):
            await self._finish()
            reply = received.reply(self.head)
            if received.error_code is None:
                return self._execution.succeeded(reply)
            return self._execution.after_output(Failed(reply, FUNCTION_FAILED))
        await self.abandon()
        if isinstance(received, Failure):
            return self._execution.after_output(self._failed(received, Delivery.EXECUTED))
        return received

    async def abandon(self) -> None:
        """Close the connection and give the permit back; does nothing after the end."""
        if self._permit is not None:
            try:
                await self._stream.aclose()
            finally:
                self._give_back()

    async def _finish(self) -> None:
        try:
            await self._stream.finish()
        finally:
            self._give_back()

    async def _next(self) -> bytes | StreamEnd | Failure | InvocationError:
        deadline = self._execution.deadline
        if deadline == math.inf:
            return await self._stream.receive()
        # Only the wait for a chunk is interrupted, never what the caller does with one.
        with anyio.move_on_after(deadline - self._permits.clock.monotonic()):
            return await self._stream.receive()
        return self._execution.deadline_exceeded(None, delivery=Delivery.EXECUTED)

    def _failed(self, failure: Failure, delivery: Delivery) -> Failed:
        verdict = classify(failure, now=self._permits.clock.time())
        return Failed(failure, replace(verdict, delivery=delivery))

    def _give_back(self) -> None:
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.admitted()


class ResponseStream:
    """What a function writes, as an async iterator of `bytes`; made by `Invoker.stream`.

    Chunks come as the function wrote them, and never empty. Nothing is read ahead: a function that
    writes faster than chunks are taken has to wait. Taking one raises

    - `FunctionError` if the function failed in between,
    - `TransportError` if the stream broke off; its `code` is `TruncatedBody` for one that ended
      without saying so, `ChecksumMismatch` for a damaged one, `ConnectionLost` and so on,
    - another `InvocationError` if the service broke it off, or the timeout passed,
    - `anyio.ClosedResourceError` once the block was left or a wait for a chunk was cancelled.
    """

    def __init__(self, opened: StreamExecution | Response) -> None:
        self._opened = opened
        self._head = opened if isinstance(opened, Response) else opened.head
        self._response = opened if isinstance(opened, Response) else None
        self._error: InvocationError | None = None
        self._is_closed = False

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
        return self._opened.attempts if self._response is None else self._response.attempts

    @property
    def response(self) -> Response | None:
        """What the execution came to: `None` until the stream has ended well.

        `log_result` is there if `log_type` was `Tail`. The payload is empty, for the chunks were
        handed out; but where a function failed and the caller asked not to raise, `function_error`
        is set and the payload is the error.
        """
        return self._response

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._error is not None:
            raise self._error
        if self._response is not None or isinstance(self._opened, Response):
            raise StopAsyncIteration
        if self._is_closed:
            raise anyio.ClosedResourceError
        try:
            received = await self._opened.receive()
        except BaseException:
            await self._close()
            raise
        if isinstance(received, bytes):
            return received
        if isinstance(received, InvocationError):
            self._error = received
            raise received
        self._response = received
        raise StopAsyncIteration

    def __repr__(self) -> str:
        ending = self._error or self._response or self._is_closed
        return f"<ResponseStream {'ended' if ending else 'open'}, request {self.request_id}>"

    async def _close(self) -> None:
        self._is_closed = True
        if isinstance(self._opened, StreamExecution):
            await self._opened.abandon()


@asynccontextmanager
async def open_stream(
    executor: Executor[StreamExecution], call: Call, payload: bytes
) -> AsyncIterator[ResponseStream]:
    """Execute a call until its first chunk has come, and give the stream; a block."""
    opened = await executor.execute(call, payload)
    if isinstance(opened, InvocationError):
        raise opened
    stream = ResponseStream(opened)
    try:
        yield stream
    finally:
        await stream._close()  # noqa: SLF001
