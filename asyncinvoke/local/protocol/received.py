"""One Invoke request, taken off HTTP and not yet checked."""

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any


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
    encoded_client_context: str | None = field(repr=False)
    """The client context, as it came."""
    tenant_id: str | None
    """The tenant id."""
    trace_id: str | None = None
    """The X-Ray trace id."""
    durable_execution_name: str | None = None
    """What the request names a durable execution; the endpoint makes nothing of it."""
    streams: bool = False
    """Whether it is InvokeWithResponseStream."""
    payload: bytes = field(repr=False)
    """The payload, as it came; of one that is too large only its beginning."""
    size: int
    """How many bytes the payload had."""

    @property
    def client_context(self) -> str | None:
        """The client context as text, out of its base64; as it came if it is not in base64."""
        encoded = self.encoded_client_context
        if encoded is None:
            return None
        try:
            return base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return encoded

    def json(self) -> Any:
        """Read the payload.

        Raises:
            ValueError: It is not JSON.
        """
        return json.loads(self.payload)
