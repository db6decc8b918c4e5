"""Plays faults on the wire: answers that the service never gave, and connections that break."""

import asyncio
import math
import socket
import struct

from aiohttp import HttpVersion11, web

from asyncinvoke.local.edge.http_edge import respond
from asyncinvoke.local.edge.streaming import has_failed, last_frame
from asyncinvoke.local.faults.steps import Answer as Scripted
from asyncinvoke.local.faults.steps import Close, Raw, Reset, Stall, Step, Streamed, Truncated
from asyncinvoke.local.protocol import event_stream
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.protocol.names import LATEST

LOOK = 0.02
"""How often a silent connection is looked at for a client that went away, in seconds."""


class CollectedOutput:
    """Where a stream goes whose answer will be lost or cut."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def begin(self, head: Answer) -> None:
        """Take the head, which is that of every stream."""

    async def write(self, piece: bytes) -> None:
        """Keep a piece."""
        self.pieces.append(piece)

    def as_stream(self, answer: Answer) -> Answer:
        """Return the answer whose body is made of frames; errors before a stream stay as they are."""
        if answer.status != 200:
            return answer
        pieces = self.pieces or ([answer.body] if answer.body and not has_failed(answer) else [])
        frames = [*map(event_stream.payload_chunk, pieces), last_frame(answer)]
        headers = {**answer.headers, "Content-Type": event_stream.CONTENT_TYPE}
        # What they say of a whole answer is in the last frame.
        for name in ("X-Amz-Function-Error", "X-Amz-Log-Result"):
            headers.pop(name, None)
        return Answer(status=200, headers=headers, body=b"".join(frames))


def answer_of(step: Step, request_id: str, real: Answer | None) -> Answer | None:
    """Return the answer that is sent, as a whole, in part or only its head; None if there is none.

    Args:
        step: What happens.
        request_id: The answer's.
        real: What the service answers, if it was asked; `Truncated` cuts it.
    """
    headers = {"x-amzn-RequestId": request_id}
    match step:
        case Scripted():
            if step.status_code == 200:
                headers["X-Amz-Executed-Version"] = LATEST
            headers |= step.headers
            return Answer(status=step.status_code, headers=headers, body=step.payload)
        case Truncated():
            return real or answer_of(step.answer, request_id, None)
        case Streamed():
            headers |= {
                "Content-Type": event_stream.CONTENT_TYPE,
                "X-Amz-Executed-Version": LATEST,
            }
            return Answer(status=200, headers={**headers, **step.headers}, body=b"")
        case _:
            return None


async def play(request: web.BaseRequest, step: Step, answer: Answer | None) -> web.StreamResponse:
    """Do to a request what a step says; the connection is broken afterwards, if that is the step.

    Args:
        request: What arrived.
        step: What happens.
        answer: What `answer_of` gave for it.
    """
    transport = request.transport
    if transport is None:  # the client went away by itself
        return web.Response(status=400)
    if answer is not None:
        match step:
            case Truncated():
                await _send_part(request, answer, step.sent)
                transport.close()
            case Streamed():
                return await _send_stream(request, transport, step, answer)
            case _:
                return _send_whole(request, answer)
    match step:
        case Raw():
            transport.write(step.sent)
            transport.close()
        case Stall():
            if step.sent:
                transport.write(step.sent)
            await _silence(transport, step.seconds)
            _reset(transport)
        case Reset():
            _reset(transport)
        case Close():
            transport.close()
    # Nobody is there to read it.
    return web.Response(status=400)


def _send_whole(request: web.BaseRequest, answer: Answer) -> web.Response:
    connection = {name.lower(): value for name, value in answer.headers.items()}.get("connection")
    response = respond(request, answer)
    if connection is not None:
        response.headers["Connection"] = connection
        if connection.lower() == "close":
            response.force_close()
    return response


async def _send_part(request: web.BaseRequest, answer: Answer, sent: int) -> None:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    # An answer that is too short to be cut promises more than it has.
    response.content_length = max(len(answer.body), sent + 1)
    await response.prepare(request)
    await response.write(answer.body[:sent])


async def _send_stream(
    request: web.BaseRequest, transport: asyncio.Transport, step: Streamed, head: Answer
) -> web.StreamResponse:
    response = web.StreamResponse(status=head.status, headers=head.headers)
    if request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    await response.prepare(request)
    for frame in step.frames:
        await response.write(frame)
    if step.ending == "finished":
        await response.write_eof()
    elif step.ending == "closed":
        transport.close()
    else:
        if step.ending == "stalled":
            await _silence(transport, math.inf)
        _reset(transport)
    return response


async def _silence(transport: asyncio.Transport, seconds: float) -> None:
    """Wait; ends early when the client goes away."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    # The server tells nobody that a client has gone: its transport has to be looked at.
    while not transport.is_closing() and (left := until - loop.time()) > 0:  # noqa: ASYNC110
        await asyncio.sleep(min(left, LOOK))


def _reset(transport: asyncio.Transport) -> None:
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        # Lingering for no time turns the close into a reset.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
