"""What the engine requires of a transport: a single attempt."""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply, StreamEnd, StreamHead
from asyncinvoke._request.parameters import InvokeParameters


class Transport(Protocol):
    """Sends a request once."""

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Deliver a request at most once, and read the whole response.

        `progress` is updated continuously, so that it is correct after a cancellation too. Nothing
        is repeated, and network errors are returned, not raised. Cancellation is raised, and leaves
        the connection pool intact.
        """
        ...


class Stream(Protocol):
    """The response to one attempt, as it arrives."""

    @property
    def head(self) -> StreamHead:
        """What precedes the first chunk."""
        ...

    async def receive(self) -> bytes | StreamEnd | Failure:
        """Return the next chunk, or how the stream ended; failures are returned, not raised."""
        ...

    async def finish(self) -> None:
        """Return the connection to the pool, after the end of the stream."""
        ...

    async def aclose(self) -> None:
        """Close the connection, before the end of the stream. Safe to call at any time."""
        ...


class BufferedStream(Stream, Protocol):
    """A stream that reads ahead, and whose chunks can be taken without a wait once they are there."""

    @property
    def chunks(self) -> deque[bytes]:
        """The chunks that have arrived, and have not been taken: always the same object."""
        ...


class WholeTransport(Transport, Protocol):
    """Sends and streams: the protocol of a caller's own transport."""

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Stream | Failure:
        """Deliver a request at most once, and read the head of the response."""
        ...


class StreamingTransport(Protocol):
    """Opens a response stream once, and keeps its deadline."""

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> BufferedStream | Failure:
        """Deliver a request at most once, and read the head of the response."""
        ...


class ClosingTransport(Transport, StreamingTransport, Protocol):
    """Sends and streams over its own connections, until it is closed."""

    async def aclose(self) -> None:
        """Close: calls in progress fail as closed, each with its phase, and no more are sent."""
        ...


class LambdaClient(Protocol):
    """The part of an aiobotocore client for `lambda` that an invoker uses."""

    @property
    def meta(self) -> Any:
        """The client's configuration."""
        ...

    @property
    def invoke(self) -> Callable[..., Any]:
        """Invoke a function once."""
        ...
