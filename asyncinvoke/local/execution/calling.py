"""Calls handlers that are Python callables: sync ones in threads, generators piece by piece."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeAlias

import anyio

MAX_THREADS = 10_000
"""How many sync handlers can run at once. Threads are made when needed, so this costs nothing."""


class RaisedError(Exception):
    """Carries what a handler raised to where its answer is made.

    As itself it would not get there: no future holds a `StopIteration`, a `KeyboardInterrupt` ends
    the loop on whose task it is raised, and a `GeneratorExit` is taken for the end of a generator.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


@contextlib.contextmanager
def carrying() -> Iterator[None]:
    """Hold a block that runs a handler's code.

    Raises:
        RaisedError: It raises what could not pass as itself.
    """
    try:
        yield
    except StopIteration as error:
        raise RaisedError(error) from error
    except (Exception, SystemExit):
        raise
    except BaseException as error:
        if _is_from_outside(error):
            raise
        raise RaisedError(error) from error


def _is_from_outside(error: BaseException) -> bool:
    """Return whether it may be a cancellation or Ctrl-C, which only the main thread is told of."""
    if isinstance(error, BaseExceptionGroup):
        return any(_is_from_outside(inner) for inner in error.exceptions)
    if isinstance(error, KeyboardInterrupt):
        return threading.current_thread() is threading.main_thread()
    try:
        cancelled = anyio.get_cancelled_exc_class()
    except RuntimeError:  # no loop runs in this thread
        return False
    return isinstance(error, (asyncio.CancelledError, cancelled))


class Calls(Protocol):
    """Calls sync functions."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function and return what it returns."""
        ...


class InTask:
    """Calls them at once, which holds up everything else on the loop."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function."""
        with carrying():
            return function(*args)


class Threads:
    """A pool that can be left while a handler that nobody can interrupt still runs."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="asyncinvoke-local")
        self._busy: set[int] = set()

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in a thread; on cancellation abandon it there."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._tracked, function, args)

    def close(self) -> None:
        """End all idle threads; wait for that unless one was abandoned in its handler."""
        self._pool.shutdown(wait=not self._busy, cancel_futures=True)

    def _tracked(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        thread = threading.get_ident()
        self._busy.add(thread)
        try:
            with carrying():
                return function(*args)
        finally:
            self._busy.discard(thread)


STREAM_LIMIT = 209_715_200
"""Largest answer that is streamed, in bytes (AWS's quota of 200 MB)."""

# GUESS: not recorded from AWS (docs/fidelity.md)
UNWRITABLE = "Object of type {} is neither bytes nor str"

LAST_WORDS = 1.0
"""Seconds that a handler which is closed early has for its `finally`."""

_END: Any = object()

Write: TypeAlias = Callable[[bytes], Awaitable[None]]
"""Takes one piece; returns once the reader may be given another."""


class TooLargeError(Exception):
    """The pieces come to more than the limit."""


class UnwritableError(Exception):
    """A piece is neither bytes nor text."""


class Pieces(Protocol):
    """An iterator of either kind."""

    async def next(self) -> Any:
        """Return the next item, or `_END`."""
        ...

    async def close(self) -> None:
        """Let it end early."""
        ...


def pieces_of(answer: object, threads: Calls) -> Pieces | None:
    """Return what a handler yields; None if its answer is a value."""
    if isinstance(answer, AsyncIterator):
        return _OnLoop(answer)
    if isinstance(answer, Iterator):
        return _InThread(answer, threads)
    return None


def piece_of(item: object) -> bytes:
    """Return an item as bytes.

    Raises:
        UnwritableError: It is neither bytes nor text.
    """
    piece = item.encode() if isinstance(item, str) else item
    if not isinstance(piece, bytes):
        raise UnwritableError(UNWRITABLE.format(type(item).__name__))
    return piece


async def each_of(pieces: Pieces, *, limit: int) -> AsyncGenerator[bytes, None]:
    """Yield what a handler yields as bytes; it runs on when the next is asked for.

    Raises:
        UnwritableError: An item is neither bytes nor text.
        TooLargeError: They come to more than `limit` bytes.
        Exception: Whatever the handler raises.
    """
    size = 0
    try:
        while (item := await pieces.next()) is not _END:
            piece = piece_of(item)
            size += len(piece)
            if size > limit:
                raise TooLargeError
            yield piece
    finally:
        # A handler may swallow this, or its thread may never come back.
        with contextlib.suppress(Exception), anyio.move_on_after(LAST_WORDS, shield=True):
            await pieces.close()


class _OnLoop:
    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._iterator = iterator

    async def next(self) -> Any:
        """Return the next item."""
        with carrying():
            return await anext(self._iterator, _END)

    async def close(self) -> None:
        """Let it end early."""
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            await close()


class _InThread:
    def __init__(self, iterator: Iterator[Any], threads: Calls) -> None:
        self._iterator = iterator
        self._threads = threads

    async def next(self) -> Any:
        """Return the next item."""
        return await self._threads.run(next, self._iterator, _END)

    async def close(self) -> None:
        """Let it end early; one that is busy in its thread is left there."""
        close = getattr(self._iterator, "close", None)
        if close is not None:
            await self._threads.run(close)
