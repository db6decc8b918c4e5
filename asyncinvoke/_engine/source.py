"""The input of a map: sync or async, lazy, endless if need be; read one item at a time."""

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

import anyio

from asyncinvoke.errors import InvalidRequestError


class SyncSource:
    """Input that is iterated without awaiting."""

    def __init__(self, items: Iterator[object]) -> None:
        self._items = items

    async def next(self) -> object:
        """Read an item, or raise `StopAsyncIteration`."""
        return self.next_nowait()

    def next_nowait(self) -> object:
        """Read an item at once, or raise `StopAsyncIteration`."""
        try:
            return next(self._items)
        except StopIteration:
            raise StopAsyncIteration from None

    def stop(self) -> None:
        """Nothing to interrupt: reading never waits."""

    async def close(self) -> None:
        """Leave the rest to its owner."""


class AsyncSource:
    """Input that is awaited."""

    def __init__(self, items: AsyncIterator[object]) -> None:
        self._items = items
        self._reading: anyio.CancelScope | None = None

    async def next(self) -> object:
        """Read an item, or raise `StopAsyncIteration`."""
        with anyio.CancelScope() as self._reading:
            return await self._items.__anext__()
        raise StopAsyncIteration

    def stop(self) -> None:
        """Interrupt the reading under way: its source may never give another item."""
        if self._reading is not None:
            self._reading.cancel()

    async def close(self) -> None:
        """Close an async generator; leave any other source to its owner."""
        # Unlike a generator, an async one cannot clean up after itself when it is dropped.
        if inspect.isasyncgen(self._items):
            with anyio.CancelScope(shield=True):
                await self._items.aclose()


def open_source(payloads: object) -> SyncSource | AsyncSource:
    """Start reading what the caller gave as payloads.

    Raises:
        InvalidRequestError: It cannot be iterated, or is itself one payload.
    """
    if isinstance(payloads, str | bytes | bytearray | memoryview | dict):
        raise InvalidRequestError(
            f"payloads must be an iterable of payloads, not one {type(payloads).__name__}"
        )
    if isinstance(payloads, AsyncIterable):
        return AsyncSource(aiter(payloads))
    if isinstance(payloads, Iterable):
        return SyncSource(iter(payloads))
    raise InvalidRequestError(
        f"payloads must be an iterable or an async iterable, not {type(payloads).__name__}"
    )
