"""The calls of a transport that are under way, so that its end is theirs."""

from collections.abc import Awaitable
from typing import TypeVar

import anyio

from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import Failure, TransportFault

_T = TypeVar("_T")

_PATIENCE = 5.0
"""Seconds that calls have to unwind once they are ended."""


class UnderWay:
    """Ends calls that wait in a foreign library, each with its true phase."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._left: anyio.Event | None = None
        self._is_closed = False

    async def until_closed(self, call: Awaitable[_T], progress: Progress) -> _T | Failure:
        """Wait for a call, or for the end of the transport."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            if self._is_closed:
                scope.cancel()
            try:
                return await call
            finally:
                self._scopes.discard(scope)
                if self._left is not None and not self._scopes:
                    self._left.set()
        return closed(progress)

    async def aclose(self) -> None:
        """End all calls, now and from now on, and wait until they have unwound."""
        self._is_closed = True
        if self._scopes:
            self._left = anyio.Event()
            for scope in self._scopes:
                scope.cancel()
            with anyio.move_on_after(_PATIENCE, shield=True):
                await self._left.wait()


def closed(progress: Progress) -> Failure:
    """Return the failure of a call whose transport has come to its end."""
    return Failure(
        fault=TransportFault.CLOSED, phase=progress.phase, message="the invoker was closed"
    )
