"""`ResponseStream`: what a function writes, as the caller takes it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import anyio

from asyncinvoke.engine.call import Call
from asyncinvoke.engine.execute import Executor
from asyncinvoke.engine.stream_attempt import OpenedStream
from asyncinvoke.errors import InvocationError
from asyncinvoke.model.attempt import Attempt
from asyncinvoke.model.response import Response
from asyncinvoke.model.stream import StreamHead


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

    def __init__(self, opened: OpenedStream | Response) -> None:
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
        if isinstance(self._opened, OpenedStream):
            await self._opened.abandon()


@asynccontextmanager
async def open_stream(
    executor: Executor[OpenedStream], call: Call, payload: bytes
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
