"""The waits inside an invoker: how closing it interrupts them, and how pausing a map delays them."""

import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import cast

import anyio

from asyncinvoke._clock import Clock
from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply, StreamEnd
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.base import (
    BufferedStream,
    ClosingTransport,
    Stream,
    WholeTransport,
)
from asyncinvoke.errors import ConfigurationError


def _any_loop() -> None:
    """Return the same for every event loop."""


class Waits:
    """The cancel scopes of all current waits, so that closing an invoker can interrupt them.

    Args:
        this_loop: Returns the running event loop; all waits must be in the current one. If omitted,
            this is not checked.
    """

    __slots__ = ("is_closed", "loop", "scopes", "this_loop")

    def __init__(self, this_loop: Callable[[], object] = _any_loop) -> None:
        self.is_closed: bool = False
        self.this_loop: Callable[[], object] = this_loop
        """Returns the running event loop."""
        self.loop: object = this_loop()
        """The event loop of the invoker."""
        self.scopes: set[anyio.CancelScope] = set()
        """The scopes of the current waits; maintained by `WaitScope`."""

    def check_loop(self) -> None:
        """Check that the caller is in the event loop of the invoker.

        Raises:
            ConfigurationError: It is in another event loop, or in none, and could wait forever.
        """
        try:
            is_current = self.this_loop() is self.loop
        except RuntimeError:  # no loop, or one of another library
            is_current = False
        if not is_current:
            raise ConfigurationError(
                "the invoker was opened in another event loop: open one in each of them, with "
                "`async with Invoker(...)` inside what `asyncio.run` or `trio.run` runs"
            )

    def close(self) -> None:
        """Interrupt all current and future waits."""
        self.is_closed = True
        for scope in list(self.scopes):
            scope.cancel()


class WaitScope:
    """A block that ends without an error at a deadline or when its invoker is closed.

    Args:
        waits: The waits of the invoker.
        deadline: The deadline, on `time.monotonic()`.
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
    """Enforces deadlines and closing for a transport that supports only cancellation.

    A transport with `keeps_deadline` set does both itself, at a lower cost.
    """

    def __init__(self, transport: WholeTransport, waits: Waits) -> None:
        self._transport = transport
        self._waits = waits

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Send one attempt, until the deadline or until the invoker is closed."""
        sending = self._transport.send(parameters, payload, progress)
        payload = b""  # keeps it out of tracebacks
        with WaitScope(self._waits, progress.deadline):
            return await sending
        return _interrupted(self._waits, progress.phase)

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> BufferedStream | Failure:
        """Open a stream, until the deadline or until the invoker is closed."""
        opening = self._transport.open(parameters, payload, progress)
        payload = b""
        with WaitScope(self._waits, progress.deadline):
            opened = await opening
            if isinstance(opened, Failure):
                return opened
            return _GuardedStream(opened, self._waits, progress.deadline)
        return _interrupted(self._waits, progress.phase)

    async def aclose(self) -> None:
        """Close the transport, if it supports that."""
        close = getattr(self._transport, "aclose", None)
        if close is not None:
            await close()


class _GuardedStream:
    """Enforces the same for a stream of a transport that supports only cancellation."""

    def __init__(self, stream: Stream, waits: Waits, deadline: float) -> None:
        self._stream = stream
        self._waits = waits
        self._deadline = deadline
        self.head = stream.head
        # Its own, which stays empty: an attribute of that name of a caller's stream is the caller's.
        self.chunks: deque[bytes] = deque()
        self.aclose = stream.aclose

    async def receive(self) -> bytes | StreamEnd | Failure:
        with WaitScope(self._waits, self._deadline):
            return await self._stream.receive()
        return _interrupted(self._waits, Phase.HEAD_READ)

    async def finish(self) -> None:
        with WaitScope(self._waits, self._deadline):
            await self._stream.finish()


def _interrupted(waits: Waits, phase: Phase) -> Failure:
    fault = TransportFault.CLOSED if waits.is_closed else TransportFault.INTERRUPTED
    return Failure(fault=fault, phase=phase)


def guarded(transport: WholeTransport, waits: Waits) -> ClosingTransport:
    """Return a transport that enforces deadlines: the given one, if it does."""
    if getattr(transport, "keeps_deadline", False):
        return cast("ClosingTransport", transport)
    return GuardedTransport(transport, waits)


class NotStartedError(Exception):
    """An item was not sent, because its map was stopped first; it has no outcome."""


class Brake:
    """Holds back the attempts of one map while it is paused or stopped.

    An execution checks `is_on` before it requests a permit and again when it has one. If it holds a
    permit, it releases it unused, since a paused map must not block others. Executions waiting for
    a permit are woken when the brake is applied; otherwise a function that admits nothing would
    keep its map from ever ending. Executions in backoff are woken only by a stop.

    Args:
        release: Wakes the executions that wait for a permit on behalf of this brake.
    """

    __slots__ = ("_held", "_release", "_scopes", "is_on", "is_stopped")

    def __init__(self, release: Callable[["Brake"], None]) -> None:
        self.is_on: bool = False
        """Whether attempts are held back."""
        self.is_stopped: bool = False
        """Whether they are held back permanently."""
        self._release = release
        self._held: anyio.Event | None = None
        self._scopes: set[anyio.CancelScope] = set()

    def pause(self) -> None:
        """Hold back all attempts until `resume`."""
        if not self.is_on:
            self.is_on = True
            self._release(self)

    def resume(self) -> None:
        """Allow attempts again, unless stopped."""
        if self.is_on and not self.is_stopped:
            self.is_on = False
            self._wake()

    def stop(self) -> None:
        """Hold back all attempts permanently."""
        if self.is_stopped:
            return
        self.is_on = self.is_stopped = True
        self._release(self)
        self._wake()
        for scope in list(self._scopes):
            scope.cancel()

    async def wait(self) -> None:
        """Wait while attempts are held back.

        Raises:
            NotStartedError: The map was stopped.
        """
        while self.is_on and not self.is_stopped:
            if self._held is None:
                self._held = anyio.Event()
            await self._held.wait()
        if self.is_stopped:
            raise NotStartedError

    async def sleep(self, clock: Clock, seconds: float) -> None:
        """Sleep, or return early when stopped."""
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
