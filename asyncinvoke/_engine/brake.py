"""The brake of a map: while it is on no attempt begins; what is in flight is not its business."""

from collections.abc import Callable

import anyio

from asyncinvoke._clock import Clock


class NotStartedError(Exception):
    """An item was not sent, since its map was stopped before; it has no outcome."""


class Brake:
    """Holds back the attempts of one map, while it is paused or once it is stopped.

    An execution looks at `is_on` before it asks for a permit and again when it has one. One that
    holds a permit gives it back unused, for a map that is paused must not keep others waiting; and
    whoever waits for a permit when the brake goes on is woken, or a function that admits nothing
    would hold up the end of its map for ever. Whoever waits to try again is woken at a stop only.

    Args:
        release: Wakes whoever waits for a permit in the name of this brake.
    """

    __slots__ = ("_held", "_release", "_scopes", "is_on", "is_stopped")

    def __init__(self, release: Callable[["Brake"], None]) -> None:
        self.is_on: bool = False
        """Whether no attempt may begin."""
        self.is_stopped: bool = False
        """Whether none ever will."""
        self._release = release
        self._held: anyio.Event | None = None
        self._scopes: set[anyio.CancelScope] = set()

    def pause(self) -> None:
        """Let no attempt begin until `resume`."""
        if not self.is_on:
            self.is_on = True
            self._release(self)

    def resume(self) -> None:
        """Let attempts begin again, unless it is stopped."""
        if self.is_on and not self.is_stopped:
            self.is_on = False
            self._wake()

    def stop(self) -> None:
        """Let no attempt begin any more."""
        if self.is_stopped:
            return
        self.is_on = self.is_stopped = True
        self._release(self)
        self._wake()
        for scope in list(self._scopes):
            scope.cancel()

    async def wait(self) -> None:
        """Wait while it is on.

        Raises:
            NotStartedError: It is on for good.
        """
        while self.is_on and not self.is_stopped:
            if self._held is None:
                self._held = anyio.Event()
            await self._held.wait()
        if self.is_stopped:
            raise NotStartedError

    async def sleep(self, clock: Clock, seconds: float) -> None:
        """Sleep, but not beyond a stop."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                if not self.is_stopped:
                    await clock.sleep(seconds)
            finally:
                self._scopes.discard(scope)

    def _wake(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.set()
