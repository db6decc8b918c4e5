"""A received Invoke request, not yet validated, and the service's messages for invalid JSON."""

import base64
import binascii
import json
import unicodedata
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInvocation:
    """A completely received Invoke request, whatever the response."""

    request_id: str
    """The request id of the response."""
    function_name: str
    """The function's name or ARN, as in the request."""
    qualifier: str | None
    """The `Qualifier` of the query."""
    invocation_type: str
    """`RequestResponse`, `Event` or `DryRun`."""
    log_type: str
    """`None` or `Tail`."""
    encoded_client_context: str | None = field(repr=False)
    """The client context, as received."""
    tenant_id: str | None
    """The tenant id."""
    trace_id: str | None = None
    """The X-Ray trace id."""
    durable_execution_name: str | None = None
    """The name of the durable execution; the endpoint ignores it."""
    streams: bool = False
    """Whether it is InvokeWithResponseStream."""
    payload: bytes = field(repr=False)
    """The payload, as received; truncated if it exceeds the limit."""
    size: int
    """The size of the whole payload, in bytes."""

    @property
    def client_context(self) -> str | None:
        """The client context, decoded from base64; as received if it is not valid base64."""
        encoded = self.encoded_client_context
        if encoded is None:
            return None
        try:
            return base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return encoded

    def json(self) -> Any:
        """Parse the payload.

        Raises:
            ValueError: It is not valid JSON.
        """
        return json.loads(self.payload)


_PLACE = (
    "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); "
    "line: {}, column: {}]"
)
_EXPECTED = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_PARTS = {"invalid start byte": "start", "invalid continuation byte": "middle"}
_WHITE_SPACE = b" \t\r\n"

# For these and for letters the service has other messages, which were not recorded.
_OTHERWISE = '{["-0123456789+.]}$'


def bad_json_message(body: bytes, error: Exception) -> str:
    """Return the service's message for a body that is not valid JSON.

    Args:
        body: The body.
        error: The error of Python's parser, whose message is used if none was recorded.
    """
    content = body.lstrip(_WHITE_SPACE)
    first = content[:1].decode("latin-1")
    if first and first not in _OTHERWISE and not first.isidentifier():
        place = _place(body, len(body) - len(content))
        return f"Unexpected character ({_name(first)}): expected a valid value {_EXPECTED}{place}"
    if isinstance(error, UnicodeDecodeError) and error.reason in _PARTS:
        part = _PARTS[error.reason]
        position = error.start if part == "start" else error.end
        return f"Invalid UTF-8 {part} byte 0x{body[position]:02x}{_place(body, position + 1)}"
    return str(error)


def _name(character: str) -> str:
    code = ord(character)
    is_control = unicodedata.category(character) == "Cc"
    return f"(CTRL-CHAR, code {code})" if is_control else f"'{character}' (code {code})"


def _place(body: bytes, position: int) -> str:
    before = body[:position]
    return _PLACE.format(before.count(b"\n") + 1, position - before.rfind(b"\n"))
