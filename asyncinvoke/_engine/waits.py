"""What waits inside an invoker: how closing interrupts it, and how pausing a map holds it back."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import cast

import anyio

from asyncinvoke._clock import Clock
from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.base import ClosingTransport, Stream, WholeTransport
from asyncinvoke.errors import ConfigurationError


class Waits:
    """The cancel scopes of whatever waits now, so that closing an invoker can end them all.

    Args:
        this_loop: Tells the running event loop; all waits are in the one that is running now.
            Without it nobody checks that.
    """

    __slots__ = ("home", "is_closed", "scopes", "this_loop")

    def __init__(self, this_loop: Callable[[], object] | None = None) -> None:
        self.is_closed: bool = False
        self.this_loop: Callable[[], object] | None = this_loop
        """Tells the running event loop."""
        self.home: object = None if this_loop is None else this_loop()
        """The one of the invoker."""
        self.scopes: set[anyio.CancelScope] = set()
        """Those of whatever waits now; kept by each `Wait`."""

    def check_loop(self) -> None:
        """Check that the caller is in the event loop of the invoker.

        Raises:
            ConfigurationError: It is in another, or in none: there it could wait for ever.
        """
        if self.this_loop is None:
            return
        try:
            is_home = self.this_loop() is self.home
        except RuntimeError:  # no loop, or one of another kind
            is_home = False
        if not is_home:
            raise ConfigurationError(
                "the invoker was opened in another event loop: open one in each of them, with "
                "`async with Invoker(...)` inside what `asyncio.run` or `trio.run` runs"
            )

    def close(self) -> None:
        """End whatever waits, and whatever will."""
        self.is_closed = True
        for scope in list(self.scopes):
            scope.cancel()


class Wait:
    """A block that a deadline, or the end of its invoker, ends without an error.

    Args:
        waits: Those of its invoker.
        deadline: Until when, on `time.monotonic()`.
    """

    __slots__ = ("_scope", "_scopes")

    def __init__(self, waits: Waits, deadline: float) -> None:
        self._scopes = waits.scopes
        self._scope = anyio.move_on_after(deadline - time.monotonic())
        if waits.is_closed:
            self._scope.cancel()

    def __enter__(self) -> None:
        self._scope.__enter__()
        self._scopes.add(self._scope)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._scopes.discard(self._scope)
        return bool(self._scope.__exit__(exc_type, exc, traceback))


class GuardedTransport:
    """Keeps the deadline and the end of the invoker for a transport that only knows cancellation.

    A transport with `keeps_deadline` set does both by itself, for less.
    """

    def __init__(self, transport: WholeTransport, waits: Waits) -> None:
        self._transport = transport
        self._waits = waits

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Send once, until the deadline or the end."""
        with Wait(self._waits, progress.deadline):
            return await self._transport.send(parameters, payload, progress)
        return self._interrupted(progress)

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Stream | Failure:
        """Open a stream once, until the deadline or the end."""
        with Wait(self._waits, progress.deadline):
            return await self._transport.open(parameters, payload, progress)
        return self._interrupted(progress)

    async def aclose(self) -> None:
        """Close the transport, if it can be."""
        close = getattr(self._transport, "aclose", None)
        if close is not None:
            await close()

    def _interrupted(self, progress: Progress) -> Failure:
        fault = TransportFault.CLOSED if self._waits.is_closed else TransportFault.INTERRUPTED
        return Failure(fault=fault, phase=progress.phase)


def guarded(transport: WholeTransport, waits: Waits) -> ClosingTransport:
    """Return a transport that keeps deadlines: itself, if it does."""
    if getattr(transport, "keeps_deadline", False):
        return cast("ClosingTransport", transport)
    return GuardedTransport(transport, waits)


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
