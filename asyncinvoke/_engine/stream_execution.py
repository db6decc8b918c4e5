"""The execution behind a stream: one attempt whose response is read in chunks, and its end."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from asyncinvoke._engine.calls import Call
from asyncinvoke._engine.events import AttemptEnded, AttemptStarted, ExecutionEnded
from asyncinvoke._engine.execution import Engine
from asyncinvoke._engine.history import History
from asyncinvoke._limits.limiter import Permit
from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Attempt, Reply, Response, StreamEnd, StreamHead
from asyncinvoke._retries.classify import FUNCTION_FAILED, Verdict, classify
from asyncinvoke._transport.base import BufferedStream, StreamingTransport
from asyncinvoke.errors import InvocationError


class Ending:
    """The end of a stream's execution, counted and reported once; and the other events of it.

    The execution ends when the last chunk was read, or when the caller's block is left, whichever
    is first.
    """

    __slots__ = ("_began", "_call", "_emit", "_engine", "_has_come", "_started")

    def __init__(self, engine: Engine, call: Call, began: float) -> None:
        self._emit, self._started = engine.emitter_of(call, streams=True)
        self._engine = engine
        self._call = call
        self._began = began
        self._has_come = False

    def begin(self) -> None:
        """Emit `ExecutionStarted`."""
        if self._emit is not None:
            self._emit(self._started)

    def emit(self, event: type[AttemptStarted | AttemptEnded], **facts: Any) -> None:
        """Emit an event of an attempt, if any hook listens."""
        if self._emit is not None:
            self._emit(event(execution=self._started, **facts))

    def hand_over(self) -> None:
        """Notify the instruments that the caller's block begins."""
        if self._emit is not None and self._engine.hooks is not None:
            self._engine.hooks.handed_over(self._started)

    def come(self, result: Response[Any] | InvocationError | None) -> None:
        """Count the result of the execution and emit `ExecutionEnded`; does nothing if called again."""
        if self._has_come:
            return
        self._has_come = True
        elapsed = self._engine.clock.monotonic() - self._began
        if result is None:
            self._call.counts.ended(None)
        else:
            self._engine.ended(self._call, result, elapsed)
        if self._emit is not None:
            self._emit(ExecutionEnded(execution=self._started, result=result, elapsed=elapsed))


class StreamExecution:
    """One attempt whose response is a stream, and its permit.

    The status is 200, so Lambda has admitted the request, even if the stream fails later.
    """

    def __init__(
        self, engine: Engine, history: History, permit: Permit, call: Call, ending: Ending
    ) -> None:
        self._engine = engine
        self._history = history
        self._permit = permit
        self._progress = engine.progress(history.deadline)
        self._started, self._sent = engine.clock.time(), engine.clock.monotonic()
        self._call = call
        self._stream: BufferedStream | None = None
        self.chunks: deque[bytes] = deque()
        """The chunks that have arrived; taking one of them needs no wait, so no deadline."""
        self._first_end: StreamEnd | None = None
        self._ending = ending
        self.check_loop: Callable[[], None] = engine.waits.check_loop
        """Raises a `ConfigurationError` if the stream is read in another event loop."""

    @property
    def head(self) -> StreamHead:
        """The head of the response."""
        assert self._stream is not None  # noqa: S101  # set by `begin`
        return self._stream.head

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The completed attempts."""
        return self._history.attempts

    async def begin(
        self, transport: StreamingTransport, payload: bytes
    ) -> tuple[Failure | Reply, Verdict | None] | None:
        """Send the request and wait for the first chunk, or for an end without one.

        Returns:
            `None` if the stream is open. Otherwise the failure and its verdict, with the permit
            released; the verdict is `None` as described for `Engine.end`.
        """
        opening = transport.open(self._call.parameters, payload, self._progress)
        del payload
        opened = await opening
        if isinstance(opened, Failure):
            return opened, self._engine.end(
                self._permit, opened, self._call, is_retry=self._history.number > 0
            )
        self._stream = opened
        self.chunks = opened.chunks
        try:
            first = await opened.receive()
        except BaseException:
            await self.abandon()
            raise
        if isinstance(first, Failure):
            await self.abandon()
            return first, self._verdict(first, Delivery.UNKNOWN)
        if isinstance(first, StreamEnd) and first.error_code is not None:
            await self._finish()
            return first.reply(self.head), FUNCTION_FAILED
        if isinstance(first, bytes):
            self.chunks.appendleft(first)
        else:
            self._first_end = first
        return None

    async def receive(self) -> bytes | Response[Any] | InvocationError:
        """Wait for a chunk, when none is left in `chunks`; or return the result of the execution."""
        self._engine.in_progress.reclaim()
        try:
            return await self._wait_or_end()
        finally:
            self._engine.in_progress.lend()

    async def _wait_or_end(self) -> bytes | Response[Any] | InvocationError:
        assert self._stream is not None  # noqa: S101  # set by `begin`
        received = self._first_end or await self._stream.receive()
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
                self._ending.emit(AttemptEnded, attempt=self._history.last)
                self._ending.come(response)
                return response
            return self._over(reply, FUNCTION_FAILED)
        await self.abandon()
        return self._over(received, self._verdict(received, Delivery.EXECUTED))

    def failed(
        self, answer: Failure | Reply, verdict: Verdict, *, final: bool = False
    ) -> float | Response[Any] | InvocationError:
        """Record this attempt as failed; return what `History.failed` does."""
        now = self._engine.clock.monotonic()
        try:
            return self._history.failed(
                answer,
                verdict,
                started=self._started,
                elapsed=now - self._sent,
                waited=self._permit.waited,
                now=now,
                final=final,
            )
        finally:
            self._ending.emit(AttemptEnded, attempt=self._history.last)

    async def abandon(self) -> None:
        """Close the connection and release the permit; does nothing after the end."""
        if self._stream is not None:
            try:
                await self._stream.aclose()
            finally:
                self._permit.admitted()

    async def _finish(self) -> None:
        assert self._stream is not None  # noqa: S101  # set by `begin`
        try:
            await self._stream.finish()
        finally:
            self._permit.admitted()

    def _over(self, answer: Failure | Reply, verdict: Verdict) -> Response[Any] | InvocationError:
        """End the execution after part of the response was yielded, so it cannot be retried."""
        ended = self.failed(answer, verdict, final=True)
        assert not isinstance(ended, float)  # noqa: S101  # a final failure is not retried
        self._ending.come(ended)
        return ended

    def _verdict(self, failure: Failure, delivery: Delivery) -> Verdict:
        verdict = classify(failure, now=self._engine.clock.time())
        return replace(verdict, delivery=delivery)
