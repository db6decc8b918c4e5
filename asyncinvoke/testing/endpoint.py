"""An endpoint on loopback that does to each request what a script says, and counts them."""

import contextlib
import math
import socket
import struct
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Self

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteStream

from asyncinvoke.local.faults import steps
from asyncinvoke.local.faults.steps import (
    Answer,
    Close,
    Raw,
    Reset,
    Stall,
    Step,
    Streamed,
    Truncated,
)
from asyncinvoke.testing.http import (
    ReceivedRequest,
    format_answer,
    format_piece,
    format_stream_head,
    read_request,
    read_target,
)


class FaultEndpoint:
    """Speaks as much of Lambda's wire protocol as a script needs; an async context manager.

    Give it a script for each function, point an `Invoker` at its `url`, and compare what the
    invoker says with `deliveries()`. Runs on asyncio and on trio, in the caller's own loop.

        async with FaultEndpoint() as endpoint:
            endpoint.script("resize", throttle(), Reset())
    """

    def __init__(self) -> None:
        self._scripts: dict[str, Iterator[Step]] = {}
        self._arrived: Counter[str] = Counter()
        self._requests: defaultdict[str, deque[ReceivedRequest]] = defaultdict(deque)
        self._connections = 0
        self._stack = contextlib.AsyncExitStack()
        self._port = 0

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._serving())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """What to give an invoker as `endpoint_url`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return self._connections

    def script(self, function_name: str, *steps: Step) -> None:
        """Say what happens to the next requests for a function, one step each.

        Once they are used up, requests succeed. A new script replaces the old one.
        """
        self.script_forever(function_name, steps)

    def script_forever(self, function_name: str, steps: Iterable[Step]) -> None:
        """Like `script`, from any iterable, such as `itertools.repeat(throttle())`."""
        self._scripts[function_name] = iter(steps)

    def deliveries(self, function_name: str) -> int:
        """Return how many requests for a function have arrived, those cut short included."""
        return self._arrived[function_name]

    def requests(self, function_name: str) -> list[ReceivedRequest]:
        """Return the requests for a function that were read as a whole."""
        return list(self._requests[function_name])

    @contextlib.asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", backlog=2048)
        self._port = listener.extra(SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, self._serve)
            yield
            group.cancel_scope.cancel()

    async def _serve(self, stream: SocketStream) -> None:
        self._connections += 1
        try:
            with contextlib.suppress(
                anyio.EndOfStream,
                anyio.IncompleteRead,
                anyio.BrokenResourceError,
                anyio.ClosedResourceError,
            ):
                async with stream:
                    buffered = BufferedByteStream(stream)
                    while await self._exchange(stream, buffered):
                        pass
        finally:
            self._connections -= 1

    async def _exchange(self, stream: SocketStream, buffered: BufferedByteStream) -> bool:
        """Take one request and play its step; return whether the connection stays open."""
        method, target = await read_target(buffered)
        function_name = target.function_name
        self._arrived[function_name] += 1
        step = next(self._scripts.get(function_name, iter(())), None)
        if isinstance(step, Reset) and not step.read:
            _reset_on_close(stream)
            return False
        request = await read_request(buffered, method, target)
        self._requests[function_name].append(request)
        step = step or _success(request)
        match step:
            case Answer():
                await stream.send(format_answer(step))
                return True
            case Streamed():
                await stream.send(format_stream_head(step))
                for frame in step.frames:
                    await stream.send(format_piece(frame))
                if step.ending == "finished":
                    await stream.send(format_piece(b""))
                    return True
                if step.ending == "stalled":
                    await buffered.receive()
                if step.ending != "closed":
                    _reset_on_close(stream)
            case Truncated():
                whole = format_answer(step.answer)
                await stream.send(whole[: len(whole) - len(step.answer.payload) + step.sent])
            case Raw():
                await stream.send(step.sent)
            case Stall():
                if step.sent:
                    await stream.send(step.sent)
                with anyio.move_on_after(None if math.isinf(step.seconds) else step.seconds):
                    # Ends early when the client goes away.
                    await buffered.receive()
                _reset_on_close(stream)
            case Reset():
                _reset_on_close(stream)
            case Close():
                pass
        return False


def _success(request: ReceivedRequest) -> Step:
    if request.target.streams:
        return steps.stream(b"null")
    match request.headers.get("x-amz-invocation-type"):
        case "Event":
            return Answer(status_code=202, payload=b"")
        case "DryRun":
            return Answer(status_code=204, payload=b"")
        case _:
            return Answer()


def _reset_on_close(stream: SocketStream) -> None:
    # Lingering for no time turns the close into a reset.
    stream.extra(SocketAttribute.raw_socket).setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
