"""Reads what came back of an attempt at the fake, whole or as it comes, and notes how far it came."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio.lowlevel

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply
from asyncinvoke._transport.base import Stream
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.testing.fake.reader import read_answer, read_head
from asyncinvoke.testing.fake.recording import CutError, ReadTimeout


async def read_whole(
    head: Answer | None, body: AsyncGenerator[bytes, None], progress: Progress
) -> Reply | Failure:
    """Return what comes of an answer that is read as a whole.

    Args:
        head: Its status and headers; None if none were sent.
        body: What came instead, or after that.
        progress: Where it is noted how far the attempt came.
    """
    if head is not None:
        progress.phase = Phase.HEAD_READ
    received = bytearray()
    try:
        async with aclosing(body):
            async for piece in body:
                received += piece
    except ReadTimeout as error:
        message = "no answer came in time"
        return _failure(TransportFault.READ_TIMEOUT, progress, message, cause=error)
    except CutError:
        if head is not None:
            return _failure(TransportFault.TRUNCATED, progress, "the body ended early")
        if received:
            return _failure(TransportFault.PROTOCOL, progress, "what came is not HTTP")
    except ConnectionResetError:
        pass
    else:
        if head is not None:
            progress.phase = Phase.BODY_READ
            return read_answer(head.status_code, head.headers, bytes(received))
    message = "the connection ended without an answer"
    return _failure(TransportFault.CONNECTION_LOST, progress, message)


async def open_stream(
    head: Answer | None, body: AsyncGenerator[bytes, None], progress: Progress
) -> Stream | Failure:
    """Return what comes of an answer that is read as it comes.

    Args:
        head: Its status and headers; None if none were sent.
        body: What came instead, or after that: frames, each made when it is asked for.
        progress: Where it is noted how far the attempt came.
    """
    if head is None or head.status_code >= 300:
        ended = await read_whole(head, body, progress)
        assert isinstance(ended, Failure)  # noqa: S101  # without a good status it can be nothing else
        return ended
    # The only part of the fake that needs botocore, whose parser reads the frames: it is imported
    # by those who stream.
    from asyncinvoke._transport.stream import OpenStream

    progress.phase = Phase.HEAD_READ
    return OpenStream(read_head(head.status_code, head.headers), _Body(body))


class _Body:
    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        self._pieces = pieces

    async def read(self) -> bytes:
        """Return the next piece; nothing at the end, however it ended."""
        await anyio.lowlevel.checkpoint()
        try:
            return await anext(self._pieces, b"")
        except CutError:
            return b""

    async def aclose(self) -> None:
        """Give up the rest; the handler is told so."""
        await self._pieces.aclose()


def _failure(
    fault: TransportFault, progress: Progress, message: str, cause: Exception | None = None
) -> Failure:
    return Failure(fault=fault, phase=progress.phase, message=message, cause=cause)
