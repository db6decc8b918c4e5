"""An attempt whose answer is a stream: over, for the retries, once the first chunk has come."""

import math
from dataclasses import replace

import anyio

from asyncinvoke.engine.attempt import Permits
from asyncinvoke.engine.execution import Execution, Failed
from asyncinvoke.engine.scopes import Permit
from asyncinvoke.errors import InvocationError
from asyncinvoke.model.attempt import Attempt
from asyncinvoke.model.delivery import Delivery
from asyncinvoke.model.failure import Failure
from asyncinvoke.model.response import Response
from asyncinvoke.model.stream import StreamEnd
from asyncinvoke.policy.classify import FUNCTION_FAILED, classify
from asyncinvoke.transport.base import Stream, StreamingTransport


class StreamAttempt:
    """One attempt, up to the first chunk."""

    def __init__(self, transport: StreamingTransport, permits: Permits) -> None:
        self._transport = transport
        self._permits = permits

    async def __call__(self, execution: Execution, payload: bytes) -> "OpenedStream | Failed":
        """Make an attempt; only cancellation is raised."""
        permit = await self._permits.begin(execution)
        try:
            stream = await self._transport.open(execution.call.envelope, payload)
        except BaseException:
            self._permits.limiter.ignored(permit)
            raise
        if isinstance(stream, Failure):
            return self._permits.failed(permit, stream)
        opened = OpenedStream(stream, execution, permit, self._permits)
        return await opened.begin()


class OpenedStream:
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

    async def begin(self) -> "OpenedStream | Failed":
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
        """Give the next chunk, or what the execution came to."""
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
            self._permits.limiter.succeeded(permit)
