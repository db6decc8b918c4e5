"""The bodies of the fake's response streams: frames as Lambda would send them, read as ever."""

import base64
import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import anyio
import anyio.lowlevel

from asyncinvoke._transport.answers import read_stream_head
from asyncinvoke._transport.base import Stream
from asyncinvoke.local.faults.steps import Streamed
from asyncinvoke.local.wire import event_stream
from asyncinvoke.testing.fake.runs import Run


class ReadTimeout(Exception):  # noqa: N818  # the name that HTTP libraries give it, and are known by
    """No more of an answer came in time."""


def open_frames(headers: Mapping[str, str], frames: AsyncGenerator[bytes, None]) -> Stream:
    """Open a stream over frames, each made when it is asked for; botocore's parser reads them.

    The names of the headers are in lower case.
    """
    # The only part of the fake that needs botocore, so it is imported by those who stream.
    from asyncinvoke._transport.stream import OpenStream

    return OpenStream(read_stream_head(200, headers), _Body(frames))


class _Body:
    def __init__(self, frames: AsyncGenerator[bytes, None]) -> None:
        self._frames = frames

    async def read(self) -> bytes:
        """Return the next frame; nothing at the end."""
        await anyio.lowlevel.checkpoint()
        return await anext(self._frames, b"")

    async def aclose(self) -> None:
        """Return up the rest; the handler is told so."""
        await self._frames.aclose()


async def silence(seconds: float, read_timeout: float) -> None:
    """Wait as a client waits for an endpoint that says nothing for so many seconds.

    Raises:
        ReadTimeout: Its patience ends first.
        ConnectionResetError: The silence ends, by a reset.
    """
    if min(seconds, read_timeout) == math.inf:
        await anyio.sleep_forever()
    await anyio.sleep(min(seconds, read_timeout))
    if read_timeout <= seconds:
        raise ReadTimeout
    raise ConnectionResetError("reset")


async def scripted(step: Streamed, read_timeout: float) -> AsyncGenerator[bytes, None]:
    """Return the frames of a step, and end as it says."""
    for frame in step.frames:
        if frame:
            yield frame
    if step.ending == "stalled":
        await silence(math.inf, read_timeout)
    if step.ending == "reset":
        raise ConnectionResetError("reset")


def open_run(run: Run) -> Stream:
    """Open a stream over what a handler writes, which runs while it is read."""
    headers = {
        "content-type": event_stream.CONTENT_TYPE,
        "x-amzn-requestid": run.arrived.request_id,
        "x-amz-executed-version": run.version,
    }
    return open_frames(headers, _frames_of(run))


async def _frames_of(run: Run) -> AsyncGenerator[bytes, None]:
    async with aclosing(run.pieces()) as pieces:
        async for piece in pieces:
            if piece:
                yield event_stream.payload_chunk(piece)
    if run.payload and not run.failed:
        yield event_stream.payload_chunk(run.payload)
    yield event_stream.last_frame(
        error=run.payload if run.failed else None,
        log_result=None if run.log is None else base64.b64encode(run.log).decode(),
    )
