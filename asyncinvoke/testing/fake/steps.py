"""Plays a step for the fake: what a transport would have made of it, had there been a wire."""

from collections.abc import AsyncGenerator, Mapping

from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply
from asyncinvoke._transport.answers import read_answer
from asyncinvoke._transport.base import Stream
from asyncinvoke.local.faults.steps import Answer, Raw, Stall, Step, Streamed, Truncated
from asyncinvoke.local.wire.event_stream import CONTENT_TYPE
from asyncinvoke.local.wire.names import LATEST
from asyncinvoke.testing.fake.streams import ReadTimeout, open_frames, scripted, silence


async def play(
    step: Step, request_id: str, *, accepted: int, read_timeout: float
) -> Reply | Failure:
    """Return what comes of a step where the answer is read as a whole.

    Args:
        step: What happens.
        request_id: The id of the request.
        accepted: The status that means success.
        read_timeout: How long to wait for a silence to end, in seconds.
    """
    try:
        match step:
            case Answer():
                headers = _headers(request_id, step.headers, step.status_code)
                return read_answer(step.status_code, headers, step.payload, accepted)
            case Truncated():
                return Failure(fault=TransportFault.TRUNCATED, message="the body ended early")
            case Streamed():
                body = b"".join([frame async for frame in scripted(step, read_timeout)])
                if step.ending == "finished":
                    return read_answer(200, _headers(request_id, step.headers), body, accepted)
                return Failure(fault=TransportFault.TRUNCATED, message="the body ended early")
            case Raw(sent=sent) if sent:
                return Failure(fault=TransportFault.PROTOCOL, message="what came is not HTTP")
            case Stall():
                await silence(step.seconds, read_timeout)
    except ReadTimeout as error:
        return Failure(
            fault=TransportFault.READ_TIMEOUT, message="no answer came in time", cause=error
        )
    except ConnectionResetError:
        pass
    return Failure(
        fault=TransportFault.CONNECTION_LOST, message="the connection ended without an answer"
    )


async def play_stream(step: Step, request_id: str, *, read_timeout: float) -> Stream | Failure:
    """Return what comes of a step where the answer is read as it comes."""
    match step:
        case Streamed():
            headers = _headers(request_id, {"Content-Type": CONTENT_TYPE, **step.headers})
            return open_frames(headers, scripted(step, read_timeout))
        case Answer(status_code=200):
            # It is no stream, but its body is read for frames as any other.
            return open_frames(_headers(request_id, step.headers), _once(step.payload))
        case Truncated(answer=Answer(status_code=200, payload=payload) as answer):
            headers = _headers(request_id, answer.headers)
            return open_frames(headers, _once(payload[: step.sent]))
    played = await play(step, request_id, accepted=200, read_timeout=read_timeout)
    if isinstance(played, Failure):
        return played
    return open_frames(_headers(request_id, {}), _once(played.payload))


def _headers(request_id: str, own: Mapping[str, str], status_code: int = 200) -> dict[str, str]:
    """Return the headers of an answer by their names in lower case, those of its step included."""
    headers = {"x-amzn-requestid": request_id}
    if status_code == 200:
        headers["x-amz-executed-version"] = LATEST
    return headers | {name.lower(): value for name, value in own.items()}


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    if body:
        yield body
