"""`ResponseStream`: what a function writes, as the caller takes it, and the execution behind it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from typing import Any, Self

import anyio

from asyncinvoke._engine.events import AttemptEnded, AttemptStarted, ExecutionEnded
from asyncinvoke._engine.execution import Engine, forget_frames
from asyncinvoke._engine.history import History
from asyncinvoke._engine.options import Call
from asyncinvoke._limits.permit import Permit
from asyncinvoke._limits.scopes import LimiterClosedError, PermitTimeoutError
from asyncinvoke._model.delivery import Delivery, Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Attempt, Reply, Response, StreamEnd, StreamHead
from asyncinvoke._retries.classify import FUNCTION_FAILED, Verdict, classify
from asyncinvoke._telemetry.lines import log_retry
from asyncinvoke._transport.base import Stream, StreamingTransport
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
            raise copy(self._error)
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
            self._error = copy(received)
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
    ending = _Ending(engine, call, began)
    engine.begin(call)
    try:
        ending.begin()
        while True:
            async with engine.limiter.permit(call.key, deadline=history.deadline) as permit:
                engine.tally.attempts += 1
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


class _Ending:
    """What hooks are told of a stream's execution, and its end: counted and told once, when it comes.

    That is when the last chunk is there, not when the caller's block is left; but then at the latest.
    """

    __slots__ = ("_began", "_call", "_engine", "_has_come", "_started", "_tell")

    def __init__(self, engine: Engine, call: Call, began: float) -> None:
        self._tell, self._started = engine.tell_of(call, streams=True)
        self._engine = engine
        self._call = call
        self._began = began
        self._has_come = False

    def begin(self) -> None:
        """Tell that the execution has begun."""
        if self._tell is not None:
            self._tell(self._started)

    def tell(self, event: type[AttemptStarted | AttemptEnded], **facts: Any) -> None:
        """Tell of an attempt, if anybody listens."""
        if self._tell is not None:
            self._tell(event(execution=self._started, **facts))

    def hand_over(self) -> None:
        """Tell that the caller's own block begins."""
        if self._tell is not None and self._engine.hooks is not None:
            self._engine.hooks.handed_over(self._started)

    def come(self, result: Response[Any] | InvocationError | None) -> None:
        """Count and tell how the execution has ended, unless that was done."""
        if self._has_come:
            return
        self._has_come = True
        elapsed = self._engine.clock.monotonic() - self._began
        if result is None:
            self._call.counts.ended(None)
        else:
            self._engine.ended(self._call, result, elapsed)
        if self._tell is not None:
            self._tell(ExecutionEnded(execution=self._started, result=result, elapsed=elapsed))


class StreamExecution:
    """One attempt whose answer is a stream, with the permit that it holds.

    Its head says 200, so Lambda has admitted the request, whatever it says later.
    """

    def __init__(
        self, engine: Engine, history: History, permit: Permit, call: Call, ending: _Ending
    ) -> None:
        self._engine = engine
        self._history = history
        self._permit = permit
        self._progress = engine.progress(history.deadline)
        self._started, self._sent = engine.clock.time(), engine.clock.monotonic()
        self._call = call
        self._stream: Stream | None = None
        self._take: Callable[[], bytes | StreamEnd | Failure | None] = _nothing
        self._first: bytes | StreamEnd | Failure | None = None
        self._ending = ending

    def check_loop(self) -> None:
        """Raise a `ConfigurationError` for who takes chunks in another event loop."""
        self._engine.waits.check_loop()

    @property
    def head(self) -> StreamHead:
        """What came before the first chunk."""
        assert self._stream is not None  # noqa: S101  # there is no execution without one
        return self._stream.head

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The tries that are over."""
        return self._history.attempts

    async def begin(
        self, transport: StreamingTransport, payload: bytes
    ) -> tuple[Failure | Reply, Verdict | None] | None:
        """Send the request and wait for the first chunk, or an end without one.

        Returns:
            What failed, with what that means, and the permit ended; `None` if the stream is open.
        """
        opening = transport.open(self._call.parameters, payload, self._progress)
        del payload
        opened = await opening
        if isinstance(opened, Failure):
            return opened, self._engine.end(self._permit, opened, self._call)
        self._stream = opened
        self._take = getattr(
            opened, "take", _nothing
        )  # which a stream of the caller's need not have
        try:
            first = await self._receive()
        except BaseException:
            await self.abandon()
            raise
        if isinstance(first, Failure):
            await self.abandon()
            return first, self._verdict(first, Delivery.UNKNOWN)
        if isinstance(first, StreamEnd) and first.error_code is not None:
            await self._finish()
            return first.reply(self.head), FUNCTION_FAILED
        self._first = first
        return None

    async def receive(self) -> bytes | Response[Any] | InvocationError:
        """Return the next chunk, or how the execution has ended."""
        received, self._first = self._first, None
        if received is None:
            # To wait is a scope, which costs more than all the rest of a chunk that is at hand.
            received = self._take() or await self._receive()
        if isinstance(received, bytes):
            return received
        if isinstance(received, StreamEnd):
            await self._finish()
            reply = received.reply(self.head)
            if received.error_code is None:
                response = self._history.responded(
                    reply,
                    started=self._started,
                    elapsed=self._engine.clock.monotonic() - self._sent,
                    waited=self._permit.waited,
                )
                self._ending.tell(AttemptEnded, attempt=self._history.last)
                self._ending.come(response)
                return response
            return self._over(reply, FUNCTION_FAILED)
        await self.abandon()
        return self._over(received, self._verdict(received, Delivery.EXECUTED))

    def failed(
        self, answer: Failure | Reply, verdict: Verdict, *, final: bool = False
    ) -> float | Response[Any] | InvocationError:
        """Keep this attempt as failed; return the wait before the next, or how the execution has ended."""
        now = self._engine.clock.monotonic()
        ended = self._history.failed(
            answer,
            verdict,
            started=self._started,
            elapsed=now - self._sent,
            waited=self._permit.waited,
            now=now,
            final=final,
        )
        self._ending.tell(AttemptEnded, attempt=self._history.last)
        return ended

    async def abandon(self) -> None:
        """Close the connection and end the permit; does nothing after the end."""
        if self._stream is not None:
            try:
                await self._stream.aclose()
            finally:
                self._permit.admitted()

    async def _finish(self) -> None:
        assert self._stream is not None  # noqa: S101  # there is no end without one
        try:
            with self._engine.waits.scope(self._progress.deadline):
                await self._stream.finish()
        finally:
            self._permit.admitted()

    async def _receive(self) -> bytes | StreamEnd | Failure:
        """Wait for a chunk; only that wait is interrupted, never what the caller does with one."""
        assert self._stream is not None  # noqa: S101  # there is no chunk without one
        with self._engine.waits.scope(self._progress.deadline):
            return await self._stream.receive()
        closed = self._engine.waits.is_closed
        fault = TransportFault.CLOSED if closed else TransportFault.INTERRUPTED
        return Failure(fault=fault, phase=Phase.HEAD_READ)

    def _over(self, answer: Failure | Reply, verdict: Verdict) -> Response[Any] | InvocationError:
        """End after part of the answer was handed out, so that there is no other attempt."""
        ended = self.failed(answer, verdict, final=True)
        assert not isinstance(ended, float)  # noqa: S101  # a final one has no wait
        self._ending.come(ended)
        return ended

    def _verdict(self, failure: Failure, delivery: Delivery) -> Verdict:
        verdict = classify(failure, now=self._engine.clock.time())
        return replace(verdict, delivery=delivery)


def _nothing() -> None:
    """There is no chunk at hand."""
