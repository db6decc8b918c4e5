"""What the engine requires of a transport: exactly one attempt on the wire."""

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
        """Deliver one request at most once and read the whole answer.

        How far it has come is noted in `progress` as it goes, so that whoever interrupts it knows.
        Never repeats anything and never raises for what happens on the wire: a failure is a value.
        Cancellation passes through and leaves the connection pool healthy.
        """
        ...


class Stream(Protocol):
    """The answer to one attempt, as it comes."""

    @property
    def head(self) -> StreamHead:
        """What came before the first chunk."""
        ...

    async def receive(self) -> bytes | StreamEnd | Failure:
        """Return the next chunk or how the stream ended; a failure is a value."""
        ...

    async def finish(self) -> None:
        """After the end: give the connection back."""
        ...

    async def aclose(self) -> None:
        """Before the end: close the connection. Safe to call at any time."""
        ...


class StreamingTransport(Protocol):
    """Opens a response stream once."""

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Stream | Failure:
        """Deliver one request at most once and wait for the head of the answer."""
        ...


class WholeTransport(Transport, StreamingTransport, Protocol):
    """Does both: what an object of the caller's own has to be."""


class ClosingTransport(WholeTransport, Protocol):
    """Does both over connections of its own, until it is closed."""

    async def aclose(self) -> None:
        """End: calls under way fail as closed, each with its true phase, and nothing is sent again."""
        ...


class LambdaClient(Protocol):
    """As much of an aiobotocore client for `lambda` as an invoker needs."""

    @property
    def meta(self) -> Any:
        """Where the client keeps its configuration."""
        ...

    @property
    def invoke(self) -> Callable[..., Any]:
        """Invoke a function once."""
        ...
