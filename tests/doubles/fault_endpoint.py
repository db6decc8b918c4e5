"""An endpoint on loopback that plays a script for each function, and counts requests."""

import contextlib
import math
import socket
import struct
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Self

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteStream

from asyncinvoke.local import Answer, Step, stream
from asyncinvoke.local.faults import player
from asyncinvoke.local.faults.steps import is_read

from .http1 import ReceivedRequest, format_chunk, format_head, read_request, read_target


class FaultEndpoint:
    """An endpoint with as much of Lambda's protocol as a script needs; an async context manager.

    Give it a script for each function, point an `Invoker` at its `url`, and compare what the
    invoker reports with `deliveries()`. Runs on asyncio and on trio, in the caller's own loop.

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
        """The `endpoint_url` for an invoker."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return self._connections

    def script(self, function_name: str, *steps: Step) -> None:
        """Set what happens to the next requests for a function, one step each.

        Once they are used up, requests succeed. A new script replaces the old one.
        """
        self.script_forever(function_name, steps)

    def script_forever(self, function_name: str, steps: Iterable[Step]) -> None:
        """Like `script`, from any iterable, such as `itertools.repeat(throttle())`."""
        self._scripts[function_name] = iter(steps)

    def deliveries(self, function_name: str) -> int:
        """Return the number of requests for a function, including truncated ones."""
        return self._arrived[function_name]

    def requests(self, function_name: str) -> list[ReceivedRequest]:
        """Return the requests for a function that were read completely."""
        return list(self._requests[function_name])

    @contextlib.asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", backlog=2048)
        self._port = listener.extra(SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, self._serve)
            yield
            group.cancel_scope.cancel()

    async def _serve(self, connection: SocketStream) -> None:
        self._connections += 1
        try:
            with contextlib.suppress(
                anyio.EndOfStream,
                anyio.IncompleteRead,
                anyio.BrokenResourceError,
                anyio.ClosedResourceError,
            ):
                async with connection:
                    buffered = BufferedByteStream(connection)
                    while await self._exchange(connection, buffered):
                        pass
        finally:
            self._connections -= 1

    async def _exchange(self, connection: SocketStream, buffered: BufferedByteStream) -> bool:
        """Read one request and play its step; return whether the connection stays open."""
        method, target = await read_target(buffered)
        self._arrived[target.function_name] += 1
        step = next(self._scripts.get(target.function_name, iter(())), None)
        if step is None or is_read(step):
            request = await read_request(buffered, method, target)
            self._requests[target.function_name].append(request)
            step = step or _success(request)
        wire = _SocketWire(connection, buffered)
        await player.play(step, await player.answer_of(step, str(uuid.uuid4()), run=None), wire)
        return wire.lives


def _success(request: ReceivedRequest) -> Step:
    if request.target.streams:
        return stream(b"null")
    match request.headers.get("x-amz-invocation-type"):
        case "Event":
            return Answer(status_code=202, payload=b"")
        case "DryRun":
            return Answer(status_code=204, payload=b"")
        case _:
            return Answer()


class _SocketWire:
    """A connection on which faults are played."""

    def __init__(self, connection: SocketStream, buffered: BufferedByteStream) -> None:
        self._connection = connection
        self._buffered = buffered
        self._is_chunked = False
        self.lives = True

    async def answer(self, answer: Answer) -> None:
        head = format_head(answer, length=len(answer.payload))
        await self._connection.send(head + answer.payload)

    async def begin(self, head: Answer, *, length: int | None) -> None:
        self._is_chunked = length is None
        await self._connection.send(format_head(head, length=length))

    async def write(self, data: bytes) -> None:
        await self.send(format_chunk(data) if self._is_chunked else data)

    async def finish(self) -> None:
        await self._connection.send(format_chunk(b""))

    async def send(self, data: bytes) -> None:
        if data:
            await self._connection.send(data)

    async def stall(self, seconds: float) -> None:
        with anyio.move_on_after(None if math.isinf(seconds) else seconds):
            # Ends early when the client goes away.
            await self._buffered.receive()

    async def close(self) -> None:
        self.lives = False  # closed by the task that serves it

    async def reset(self) -> None:
        self.lives = False
        # Lingering for no time turns the close into a reset.
        self._connection.extra(SocketAttribute.raw_socket).setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
