"""What the engine asks of a transport: exactly one attempt on the wire."""

from collections.abc import Callable
from typing import Any, Protocol

from asyncinvoke.model.envelope import Envelope
from asyncinvoke.model.failure import Failure
from asyncinvoke.model.response import Reply


class Transport(Protocol):
    """Sends a request once."""

    async def send(self, envelope: Envelope, payload: bytes) -> Reply | Failure:
        """Deliver one request at most once and read the whole answer.

        Never repeats anything and never raises for what happens on the wire: a failure is a value.
        Cancellation passes through and leaves the connection pool healthy.
        """
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
