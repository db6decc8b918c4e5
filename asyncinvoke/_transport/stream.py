"""`OpenStream`: the answer of InvokeWithResponseStream as it comes, whichever way it came."""

import contextlib
import math
import time
from collections import deque

import anyio

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import StreamEnd, StreamHead
from asyncinvoke._transport.bodies import Body
from asyncinvoke._transport.exceptions import failure_from
from asyncinvoke._transport.frames import FrameReader

_LAST_WORDS = 1.0
"""Seconds that a body may take to end after `InvokeComplete`, so that its connection is kept."""


class OpenStream:
    """A stream whose head has come.

    Args:
        head: What came before the body.
        body: The body, which keeps the deadline.
        deadline: When all of it must have ended, on `time.monotonic()`.
    """

    def __init__(self, head: StreamHead, body: Body, deadline: float = math.inf) -> None:
        self.head = head
        self._body = body
        self._deadline = deadline
        self._frames = FrameReader()
        self._ready: deque[bytes | StreamEnd | Failure] = deque()

    async def receive(self) -> bytes | StreamEnd | Failure:
        """Return the next chunk or how the stream ended; a failure is a value.

        Nothing is read ahead: the service is slowed down to the caller's pace.
        """
        while not self._ready:
            try:
                data = await self._body.read()
            except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a value
                return failure_from(error, Phase.HEAD_READ)
            if not data:
                return Failure(
                    fault=TransportFault.TRUNCATED,
                    phase=Phase.BODY_READ,
                    message="no InvokeComplete came",
                )
            self._ready.extend(self._frames.feed(data))
        return self._ready.popleft()

    async def finish(self) -> None:
        """After the end: keep the connection if the body ends soon, and close it otherwise."""
        # The answer is complete, whatever happens: only the connection can be lost. So a deadline
        # must not pass in here.
        patience = min(_LAST_WORDS, (self._deadline - time.monotonic()) / 2)
        try:
            with contextlib.suppress(Exception), anyio.move_on_after(patience):
                while await self._body.read():
                    pass
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        with anyio.CancelScope(shield=True):
            await self._body.aclose()
