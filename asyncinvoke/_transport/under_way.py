"""The calls of a transport that wait in foreign libraries, so that its end is theirs, and theirs known.

Connections of ours keep a deadline and a close by themselves, for nothing. Whatever else a call waits
for (credentials, the SDK, another's HTTP library) is waited for in here.
"""

import math
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._transport.bodies import Body, OwnBody
from asyncinvoke._transport.http.errors import WireError

_T = TypeVar("_T")

_PATIENCE = 5.0
"""Seconds that calls have to unwind once they are ended."""


class UnderWay:
    """Ends calls at their deadline, and all of them when it is closed, each with its true phase."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._left: anyio.Event | None = None
        self._is_closed = False

    async def wait_for(self, call: Coroutine[Any, Any, _T], progress: Progress) -> _T | Failure:
        """Wait for a call, for its deadline, or for the end of all."""
        if self._is_closed or progress.deadline <= time.monotonic():
            call.close()
            return self._ended(progress)
        with anyio.CancelScope(deadline=_on_this_loop(progress.deadline)) as scope:
            self._scopes.add(scope)
            try:
                return await call
            finally:
                self._scopes.discard(scope)
                if self._left is not None and not self._scopes:
                    self._left.set()
        return self._ended(progress)

    def _ended(self, progress: Progress) -> Failure:
        fault, message = TransportFault.INTERRUPTED, "its time was up"
        if self._is_closed:
            fault, message = TransportFault.CLOSED, "the invoker was closed"
        return Failure(fault=fault, phase=progress.phase, message=message)

    def body(self, body: Body, progress: Progress) -> Body:
        """Return a body whose pieces are waited for as a call is, if it does not do so itself."""
        return body if isinstance(body, OwnBody) else _WaitedBody(body, self, progress)

    async def aclose(self) -> None:
        """End all calls, now and from now on, and wait until they have unwound."""
        self._is_closed = True
        if self._scopes:
            self._left = anyio.Event()
            for scope in self._scopes:
                scope.cancel()
            with anyio.move_on_after(_PATIENCE, shield=True):
                await self._left.wait()


class _WaitedBody:
    """A body of a foreign library, each of whose pieces is waited for as a call is."""

    def __init__(self, body: Body, under_way: UnderWay, progress: Progress) -> None:
        self._body = body
        self._under_way = under_way
        self._progress = progress

    async def read(self) -> bytes:
        """Return what has come; nothing at the end.

        Raises:
            WireError: The deadline has passed, or all was ended.
        """
        read = await self._under_way.wait_for(self._body.read(), self._progress)
        if isinstance(read, Failure):
            raise WireError(read.fault or TransportFault.UNEXPECTED, Phase.HEAD_READ, read.message)
        return read

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        await self._body.aclose()


def _on_this_loop(deadline: float) -> float:
    """Return a time of `time.monotonic()` as one of the event loop's clock."""
    if deadline == math.inf:
        return math.inf
    return anyio.current_time() + deadline - time.monotonic()
