"""Calls that wait in third-party code, cancelled from here at their deadline and on close."""

import math
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._transport.answers import decides, read_failure
from asyncinvoke._transport.http.errors import WireError
from asyncinvoke._transport.http.timers import Deadline
from asyncinvoke._transport.stream import Body, OwnBody

_T = TypeVar("_T")

_PATIENCE = 5.0
"""How long to wait for cancelled calls, in seconds."""


class ForeignCalls:
    """Cancels calls at their deadline, and all calls on close, each with its phase.

    Our own connections enforce deadlines and closing at no extra cost. Everything else that a call
    waits for (credentials, the SDK, a third-party HTTP library) is awaited in here.
    """

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._left: anyio.Event | None = None
        self._is_closed = False

    async def wait_for(self, call: Coroutine[Any, Any, _T], progress: Progress) -> _T | Failure:
        """Await a call, and cancel it at its deadline or on close."""
        if self._is_closed or progress.deadline <= time.monotonic():
            call.close()
            return self._ended(progress)
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            timer = None
            if progress.deadline < math.inf:
                timer = Deadline(progress.deadline, scope.cancel)
            try:
                return await call
            finally:
                if timer is not None:
                    timer.cancel()
                self._scopes.discard(scope)
                if self._left is not None and not self._scopes:
                    self._left.set()
        return self._ended(progress)

    def _ended(self, progress: Progress) -> Failure:
        fault, message = TransportFault.INTERRUPTED, "its time was up"
        if self._is_closed:
            fault, message = TransportFault.CLOSED, "the invoker was closed"
        if progress.head is not None and decides(progress.head[0]):
            # The status has been received, and it alone determines the result.
            return read_failure(*progress.head, b"")
        return Failure(fault=fault, phase=progress.phase, message=message)

    def body(self, body: Body, progress: Progress) -> Body:
        """Return a body whose reads are cancelled like calls; our own bodies do that themselves."""
        return body if isinstance(body, OwnBody) else _WaitedBody(body, self, progress)

    def end(self) -> None:
        """Cancel all calls, now and in the future.

        This comes before closing the connections, which takes time: a call that is still waiting
        for something else must not reach the peer in the meantime.
        """
        self._is_closed = True
        for scope in self._scopes:
            scope.cancel()

    async def aclose(self) -> None:
        """Cancel all calls, now and in the future, and wait until they have ended."""
        self.end()
        if self._scopes:
            self._left = self._left or anyio.Event()
            with anyio.move_on_after(_PATIENCE, shield=True):
                await self._left.wait()


class _WaitedBody:
    """A body of a third-party library, whose reads are cancelled like calls."""

    def __init__(self, body: Body, foreign_calls: ForeignCalls, progress: Progress) -> None:
        self._body = body
        self._foreign_calls = foreign_calls
        self._progress = progress

    async def read(self) -> list[bytes]:
        """Return the data that has arrived; nothing at the end.

        Raises:
            WireError: The deadline has passed, or the transport was closed.
        """
        read = await self._foreign_calls.wait_for(self._body.read(), self._progress)
        if isinstance(read, Failure):
            raise WireError(read.fault or TransportFault.UNEXPECTED, Phase.HEAD_READ, read.message)
        return read

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        await self._body.aclose()
