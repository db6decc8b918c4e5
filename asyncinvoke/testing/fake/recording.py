"""The effect of an injected fault on the fake's wire: recorded first, then read as a transport would."""

import math
from collections.abc import AsyncGenerator

import anyio

from asyncinvoke.local.protocol.answers import Answer


class CutError(Exception):
    """The connection ended, by a FIN, before the answer did."""


class ReadTimeout(Exception):  # noqa: N818  # the name that HTTP libraries give it, and are known by
    """No more of an answer came in time."""


class Recording:
    """A wire on which faults are played; nothing waits before it is read."""

    def __init__(self) -> None:
        self.head: Answer | None = None
        """The answer whose status and headers were sent; None if none were."""
        self._events: list[bytes | float | Exception] = []

    async def answer(self, answer: Answer) -> None:
        """Record an answer as a whole."""
        self.head = answer
        self._events.append(answer.payload)

    async def begin(self, head: Answer, *, length: int | None) -> None:  # noqa: ARG002  # how it ends is told
        """Record a status and headers."""
        self.head = head

    async def write(self, data: bytes) -> None:
        """Record a part of the body."""
        self._events.append(data)

    async def finish(self) -> None:
        """End the body, which is what the end of a recording means."""

    async def send(self, data: bytes) -> None:
        """Record bytes that are no HTTP."""
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
        """Yield what follows the head, and end as the connection does.

        Args:
            read_timeout: How long a silence is waited for, in seconds.

        Raises:
            CutError: It ended before the answer did.
            ConnectionResetError: It was reset.
            ReadTimeout: A silence took longer.
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
