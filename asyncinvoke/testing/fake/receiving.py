"""Reads the answer of an attempt at the fake, whole or streamed, and records its progress."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio.lowlevel

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply
from asyncinvoke._transport.answers import decides, read_answer, read_stream_head
from asyncinvoke._transport.base import Stream
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.testing.fake.recording import CutError, ReadTimeout


async def read_whole(
    head: Answer | None,
    body: AsyncGenerator[bytes, None],
    progress: Progress,
    *,
    accepted: int = 200,
) -> Reply | Failure:
    """Return what comes of an answer that is read as a whole.

    Args:
        head: Its status and headers; None if none were sent.
        body: What came instead, or after that.
        progress: Where it is noted how far the attempt came.
        accepted: The status that means success.
    """
    if head is not None:
        progress.phase = Phase.HEAD_READ
    received, end = await _receive(body)
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
    """Return what comes of an answer that is read as it comes.

    Args:
        head: Its status and headers; None if none were sent.
        body: What came instead, or after that: frames, each made when it is asked for.
        progress: Where it is noted how far the attempt came.
    """
    if head is None or head.status_code != 200:
        ended = await read_whole(head, body, progress)
        assert isinstance(ended, Failure)  # noqa: S101  # without a good status it can be nothing else
        return ended
    # The only part of the fake that needs botocore, whose parser reads the frames: it is imported
    # by those who stream.
    from asyncinvoke._transport.stream import OpenStream

    progress.phase = Phase.HEAD_READ
    return OpenStream(read_stream_head(200, _by_lower_name(head)), _Body(body))


class _Body:
    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        self._pieces = pieces

    async def read(self) -> list[bytes]:
        """Return the next piece; nothing at the end, however it ended."""
        await anyio.lowlevel.checkpoint()
        try:
            return [await anext(self._pieces)]
        except (CutError, StopAsyncIteration):
            return []

    async def aclose(self) -> None:
        """Give up the rest; the handler is told so."""
        await self._pieces.aclose()


async def _receive(body: AsyncGenerator[bytes, None]) -> tuple[bytes, Exception | None]:
    """Return what came, and what ended it; None for the end of a whole answer."""
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
