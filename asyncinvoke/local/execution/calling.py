"""Calls the sync code of handlers, carries their exceptions, and reads generators piece by piece."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Protocol, TypeAlias

import anyio


class RaisedError(Exception):
    """Carries an exception of a handler to the code that makes its response.

    Some cannot be raised through it: a future rejects `StopIteration`, a `KeyboardInterrupt` ends the
    event loop whose task raises it, and a `GeneratorExit` looks like the end of a generator.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


@contextlib.contextmanager
def carrying() -> Iterator[None]:
    """Run a handler's code in the block.

    Raises:
        RaisedError: It raises an exception that cannot be raised through futures and tasks.
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
    """Return whether it may be a cancellation, or Ctrl-C, which is only raised in the main thread."""
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
        """Call a function and return its result."""
        ...


class InTask:
    """Calls them directly, which blocks the event loop."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function."""
        with carrying():
            return function(*args)


STREAM_LIMIT = 209_715_200
"""The maximum size of a streamed response, in bytes (AWS's quota of 200 MB)."""

# GUESS: not recorded from AWS (docs/fidelity.md)
UNWRITABLE = "Object of type {} is neither bytes nor str"

CLOSE_TIMEOUT = 1.0
"""Seconds for the `finally` blocks of a generator that is closed early."""

_END: Any = object()

Write: TypeAlias = Callable[[bytes], Awaitable[None]]
"""Write one piece; return once the reader is ready for the next."""


class TooLargeError(Exception):
    """The total size of the pieces exceeds the limit."""


class UnwritableError(Exception):
    """A piece is neither bytes nor str."""


class Pieces(Protocol):
    """A sync or async iterator."""

    async def next(self) -> Any:
        """Return the next item, or `_END`."""
        ...

    async def close(self) -> None:
        """Close it early."""
        ...


def pieces_of(answer: object, threads: Calls) -> Pieces | None:
    """Return the pieces that a handler yields; None if it returned a value.

    An object with `_asdict` is a value, as in `marshal`: a mock has every method, those of an async
    iterator too, and AWS's runtime cannot encode it.
    """
    if not isinstance(answer, (AsyncIterator, Iterator)) or hasattr(answer, "_asdict"):
        return None
    return _OnLoop(answer) if isinstance(answer, AsyncIterator) else _InThread(answer, threads)


def piece_of(item: object) -> bytes:
    """Return an item as bytes.

    Raises:
        UnwritableError: It is neither bytes nor str.
    """
    piece = item.encode() if isinstance(item, str) else item
    if not isinstance(piece, bytes):
        raise UnwritableError(UNWRITABLE.format(type(item).__name__))
    return piece


async def each_of(pieces: Pieces, *, limit: int) -> AsyncGenerator[bytes, None]:
    """Yield a handler's pieces as bytes; it resumes when the next one is requested.

    Raises:
        UnwritableError: A piece is neither bytes nor str.
        TooLargeError: The pieces exceed `limit` bytes in total.
        Exception: Any exception of the handler.
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
        # A handler may ignore the close, or its thread may never return.
        with contextlib.suppress(Exception), anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await pieces.close()


class _OnLoop:
    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._iterator = iterator

    async def next(self) -> Any:
        """Return the next item."""
        with carrying():
            return await anext(self._iterator, _END)

    async def close(self) -> None:
        """Close it early."""
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
        """Close it early; if it is running in a thread, it is left there."""
        close = getattr(self._iterator, "close", None)
        if close is not None:
            await self._threads.run(close)
