"""The wire of the fake: records the effect of a fault, and reads it as the response to an attempt."""

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import anyio.lowlevel

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply
from asyncinvoke._transport.answers import decides, read_answer, read_stream_head
from asyncinvoke._transport.base import Stream
from asyncinvoke._transport.http.answer import BODILESS
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


async def read_whole(
    head: Answer | None,
    body: AsyncGenerator[bytes, None],
    progress: Progress,
    *,
    accepted: int = 200,
) -> Reply | Failure:
    """Read a buffered response; return its reply or failure.

    Args:
        head: The status and headers; None if none were sent.
        body: The body, or what was sent instead of a response.
        progress: The progress of the attempt, which is updated.
        accepted: The status of a success.
    """
    if head is not None:
        progress.phase = Phase.HEAD_READ
    received, end = await _receive(body)
    if head is not None and head.status_code in BODILESS:  # complete with its head
        received, end = b"", None
    if head is not None and end is None:
        progress.phase = Phase.BODY_READ
        return read_answer(head.status_code, _by_lower_name(head), received, accepted)
    if head is not None and decides(head.status_code):
        return read_answer(head.status_code, _by_lower_name(head), b"", accepted)
    fault, message = _fault_of(end, head, received)
    return Failure(fault=fault, phase=progress.phase, message=message, cause=end)


async def open_stream(
    head: Answer | None, body: AsyncGenerator[bytes, None], progress: Progress
) -> Stream | Failure:
    """Open a streamed response; return the stream or the failure.

    Args:
        head: The status and headers; None if none were sent.
        body: The frames, made on demand, or what was sent instead of a response.
        progress: The progress of the attempt, which is updated.
    """
    if head is None or head.status_code != 200:
        ended = await read_whole(head, body, progress)
        assert isinstance(ended, Failure)  # noqa: S101  # only a 200 is a success
        return ended
    # Imported here, because only streams need botocore, whose parser reads the frames.
    from asyncinvoke._transport.stream import OpenStream

    progress.phase = Phase.HEAD_READ
    return OpenStream(read_stream_head(200, _by_lower_name(head)), _Body(body))


class _Body:
    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        self._pieces = pieces

    async def read(self) -> list[bytes]:
        """Return the next piece; an empty list at the end, whatever its cause."""
        await anyio.lowlevel.checkpoint()
        try:
            return [await anext(self._pieces)]
        except (CutError, StopAsyncIteration):
            return []

    async def aclose(self) -> None:
        """Discard the rest and close the handler."""
        await self._pieces.aclose()


async def _receive(body: AsyncGenerator[bytes, None]) -> tuple[bytes, Exception | None]:
    """Return the received bytes, and the error that ended them; None for a complete body."""
    received = bytearray()
    try:
        async with aclosing(body):
            async for piece in body:
                received += piece
    except (CutError, ConnectionResetError, ReadTimeout) as end:
        return bytes(received), end
    return bytes(received), None


def _fault_of(
    end: Exception | None, head: Answer | None, received: bytes
) -> tuple[TransportFault, str]:
    if isinstance(end, ReadTimeout):
        return TransportFault.READ_TIMEOUT, "no answer came in time"
    if isinstance(end, CutError) and head is not None:
        return TransportFault.TRUNCATED, "the body ended early"
    if isinstance(end, CutError) and received:
        return TransportFault.PROTOCOL, "what came is not HTTP"
    return TransportFault.CONNECTION_LOST, "the connection ended without an answer"


def _by_lower_name(head: Answer) -> dict[str, str]:
    return {name.lower(): value for name, value in head.headers.items()}
