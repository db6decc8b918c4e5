"""One Invoke request, read from HTTP and not yet checked, and the service's messages for invalid JSON."""

import base64
import binascii
import json
import unicodedata
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


_PLACE = (
    "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); "
    "line: {}, column: {}]"
)
_EXPECTED = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_PARTS = {"invalid start byte": "start", "invalid continuation byte": "middle"}
_WHITE_SPACE = b" \t\r\n"

# Of these, and of letters, the service's parser says something else, which was not recorded.
_OTHERWISE = '{["-0123456789+.]}$'


def words_on_bad_json(body: bytes, error: Exception) -> str:
    """Return the text for a body.

    Args:
        body: The body.
        error: What our own parser says of it. Its words stand in where none were recorded.
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
