"""Plays faults on any wire: artificial responses and broken connections.

The endpoint, the fake and the test suite each implement a wire.
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from asyncinvoke.local.faults.steps import Close, Raw, Reset, Stall, Step, Streamed, Truncated
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.protocol.event_stream import CONTENT_TYPE
from asyncinvoke.local.protocol.names import LATEST


class Wire(Protocol):
    """The connection of one request, as faults use it."""

    async def answer(self, answer: Answer) -> None:
        """Send a whole response; the connection stays open."""
        ...

    async def begin(self, head: Answer, *, length: int | None) -> None:
        """Send a status and headers.

        Args:
            head: The response with the status and headers.
            length: The `Content-Length`; None for a chunked body.
        """
        ...

    async def write(self, data: bytes) -> None:
        """Send a part of the body."""
        ...

    async def finish(self) -> None:
        """End the body normally; the connection stays open."""
        ...

    async def send(self, data: bytes) -> None:
        """Send raw bytes."""
        ...

    async def stall(self, seconds: float) -> None:
        """Send nothing for some seconds, or until the client disconnects."""
        ...

    async def close(self) -> None:
        """End the connection with a FIN."""
        ...

    async def reset(self) -> None:
        """End the connection with an RST."""
        ...


async def answer_of(
    step: Step, request_id: str, *, run: Callable[[], Awaitable[Answer]] | None
) -> Answer | None:
    """Return the response that a step sends in whole or in part; None if it sends none.

    Args:
        step: The step.
        request_id: The request id.
        run: Runs the function first, if given; `Truncated` then truncates its response.
    """
    real = None if run is None else await run()
    match step:
        case Answer():
            return _identified(step, request_id)
        case Truncated():
            return real or _identified(step.answer, request_id)
        case Streamed():
            headers = {"Content-Type": CONTENT_TYPE, **step.headers}
            return _identified(Answer(payload=b"", headers=headers), request_id)
        case _:
            return None


async def play(step: Step, answer: Answer | None, wire: Wire) -> None:
    """Play a step on a connection.

    Args:
        step: The step.
        answer: The result of `answer_of` for it.
        wire: The connection.
    """
    if answer is None:
        await _break(step, wire)
    elif isinstance(step, Truncated):
        # For a body that is too short to truncate, claim a larger Content-Length.
        await wire.begin(answer, length=max(len(answer.payload), step.sent + 1))
        await wire.write(answer.payload[: step.sent])
        await wire.close()
    elif isinstance(step, Streamed):
        await wire.begin(answer, length=None)
        for frame in step.frames:
            await wire.write(frame)
        await _end_stream(step, wire)
    else:
        await wire.answer(answer)


async def _end_stream(step: Streamed, wire: Wire) -> None:
    match step.ending:
        case "finished":
            await wire.finish()
        case "closed":
            await wire.close()
        case "reset":
            await wire.reset()
        case "stalled":
            await wire.stall(math.inf)
            await wire.reset()


async def _break(step: Step, wire: Wire) -> None:
    match step:
        case Raw():
            await wire.send(step.sent)
            await wire.close()
        case Stall():
            await wire.send(step.sent)
            await wire.stall(step.seconds)
            await wire.reset()
        case Reset():
            await wire.reset()
        case Close():
            await wire.close()


def _identified(answer: Answer, request_id: str) -> Answer:
    headers = {"x-amzn-RequestId": request_id}
    if answer.status_code == 200:
        # Only an execution has a version.
        headers["X-Amz-Executed-Version"] = LATEST
    return replace(answer, headers=headers | dict(answer.headers))
