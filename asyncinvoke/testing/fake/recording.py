"""Records the effect of an injected fault on the wire, and replays it as a response body."""

import math
from collections.abc import AsyncGenerator

import anyio

from asyncinvoke.local.protocol.answers import Answer


class CutError(Exception):
    """The connection was closed by a FIN before the response was complete."""


class ReadTimeout(Exception):  # noqa: N818  # its name in HTTP libraries
    """The read timeout expired."""


class Recording:
    """A wire that records faults; waits only happen when it is replayed."""

    def __init__(self) -> None:
        self.head: Answer | None = None
        """The response whose status and headers were sent; None if none were."""
        self._events: list[bytes | float | Exception] = []

    async def answer(self, answer: Answer) -> None:
        """Record a whole response."""
        self.head = answer
        self._events.append(answer.payload)

    async def begin(self, head: Answer, *, length: int | None) -> None:  # noqa: ARG002  # the end is recorded instead
        """Record a status and headers."""
        self.head = head

    async def write(self, data: bytes) -> None:
        """Record a part of the body."""
        self._events.append(data)

    async def finish(self) -> None:
        """End the body; the end of the recording implies it."""

    async def send(self, data: bytes) -> None:
        """Record raw bytes."""
        self._events.append(data)

    async def stall(self, seconds: float) -> None:
        """Record a silence."""
        self._events.append(seconds)

    async def close(self) -> None:
        """Record a FIN."""
        self._events.append(CutError())

    async def reset(self) -> None:
        """Record an RST."""
        self._events.append(ConnectionResetError("reset"))

    async def body(self, *, read_timeout: float) -> AsyncGenerator[bytes, None]:
        """Yield the bytes after the head, and end as the connection did.

        Args:
            read_timeout: The maximum duration of a silence, in seconds.

        Raises:
            CutError: The connection was closed early.
            ConnectionResetError: The connection was reset.
            ReadTimeout: A silence exceeded the read timeout.
        """
        for event in self._events:
            if isinstance(event, Exception):
                raise event
            if isinstance(event, bytes):
                if event:
                    yield event
                continue
            await _wait(min(event, read_timeout))
            if read_timeout <= event:
                raise ReadTimeout


async def _wait(seconds: float) -> None:
    if seconds == math.inf:
        await anyio.sleep_forever()
    await anyio.sleep(seconds)
