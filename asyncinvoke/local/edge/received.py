"""What callers asked for: the latest Invoke requests, kept for assertions."""

import base64
import binascii
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from asyncinvoke.local.checks import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInvocation:
    """One Invoke request that arrived whole, whatever was answered."""

    request_id: str
    """The id of its answer."""
    function_name: str
    """The function's name or ARN, as the request gives it."""
    qualifier: str | None
    """The `Qualifier` of the query."""
    invocation_type: str
    """`RequestResponse`, `Event` or `DryRun`."""
    log_type: str
    """`None` or `Tail`."""
    client_context: str | None = field(repr=False)
    """The client context as text, out of its base64; as it came if it is none."""
    tenant_id: str | None
    """The tenant id."""
    streams: bool
    """Whether it is InvokeWithResponseStream."""
    payload: bytes = field(repr=False)
    """The payload, as it came; of one that is too large only its beginning."""

    def json(self) -> Any:
        """Read the payload.

        Raises:
            ValueError: It is not JSON.
        """
        return json.loads(self.payload)


class ReceivedInvocations:
    """The latest Invoke requests.

    Args:
        keep: How many are kept.
    """

    def __init__(self, keep: int) -> None:
        self._latest: deque[ReceivedInvocation] = deque(maxlen=keep)

    @property
    def latest(self) -> tuple[ReceivedInvocation, ...]:
        """Those that are kept, oldest first."""
        return tuple(self._latest.copy())

    def add(self, request: Request, request_id: str) -> None:
        """Keep a request."""
        if self._latest.maxlen:
            self._latest.append(
                ReceivedInvocation(
                    request_id=request_id,
                    function_name=request.function_name,
                    qualifier=request.qualifier,
                    invocation_type=request.invocation_type,
                    log_type=request.log_type,
                    client_context=_decoded(request.client_context),
                    tenant_id=request.tenant_id,
                    streams=request.streams,
                    payload=request.body,
                )
            )


def _decoded(client_context: str | None) -> str | None:
    if client_context is None:
        return None
    try:
        return base64.b64decode(client_context, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return client_context
