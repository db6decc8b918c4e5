"""HTTP/1.1 by hand: parsing a request, and the bytes of answers."""

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

HEAD_END = b"\r\n\r\n"
REQUEST_ID = "7d8c6b5a-0000-4000-8000-00000000000a"
"""The headers of every answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as received."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    """By name in lower case."""
    body: bytes = field(default=b"", repr=False)

    @property
    def function_name(self) -> str:
        """The function that it is for."""
        segments = urlsplit(self.target).path.split("/")
        return unquote(segments[segments.index("functions") + 1]) if "functions" in segments else ""

    @property
    def qualifier(self) -> str | None:
        """The version or alias in the query."""
        return parse_qs(urlsplit(self.target).query).get("Qualifier", [None])[0]

    @property
    def invocation_type(self) -> str:
        """The invocation type."""
        return self.headers.get("x-amz-invocation-type", "RequestResponse")

    @property
    def content_length(self) -> int:
        """The declared length of the body."""
        return int(self.headers.get("content-length", "0"))


def read_head(head: bytes) -> Received:
    """Parse the head of a request."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.split(":", 1) for line in lines if line)
    return Received(
        method=method,
        target=target,
        headers={name.strip().lower(): value.strip() for name, value in pairs},
    )


def answer(
    status: int = 200,
    body: bytes = b"null",
    headers: Mapping[str, str] | None = None,
    *,
    length: int | None = None,
) -> bytes:
    """Return the bytes of an answer.

    Args:
        status: The status code.
        body: The body.
        headers: Headers other than the request id and the length.
        length: The value of Content-Length, if it is to be wrong.
    """
    lines = [f"HTTP/1.1 {status} Whatever", f"x-amzn-RequestId: {REQUEST_ID}"]
    if status not in (204, 304):
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode("latin-1") + HEAD_END + body


def error_answer(status: int, code: str, message: str = "because", **members: str) -> bytes:
    """Return an error as Lambda sends it."""
    body = {"Type": "User", "message": message, **members}
    return answer(
        status,
        json.dumps(body).encode(),
        {"x-amzn-ErrorType": code, "Content-Type": "application/json"},
    )


def throttle_answer(
    reason: str | None = "ReservedFunctionConcurrentInvocationLimitExceeded",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return a 429."""
    members = {} if reason is None else {"Reason": reason}
    return answer(
        429,
        json.dumps({"Type": "User", "message": "Rate Exceeded.", **members}).encode(),
        {"x-amzn-ErrorType": "TooManyRequestsException", **(headers or {})},
    )


def function_error_answer(error_type: str = "KeyError", message: str = "no such thing") -> bytes:
    """Return the answer for a function error."""
    return answer(
        200,
        json.dumps({"errorType": error_type, "errorMessage": message}).encode(),
        {"X-Amz-Function-Error": "Unhandled", "X-Amz-Executed-Version": "$LATEST"},
    )


def echo_answer(request: Received) -> bytes:
    """Return Lambda's answer for a function that returns its event."""
    if request.invocation_type == "Event":
        return answer(202, b"")
    if request.invocation_type == "DryRun":
        return answer(204, b"")
    return answer(200, request.body or b"{}", {"X-Amz-Executed-Version": "$LATEST"})


def stream_answer(*frames: bytes, is_ended: bool = True) -> bytes:
    """Return the answer of InvokeWithResponseStream: frames, in chunked coding.

    Args:
        frames: The frames.
        is_ended: Whether the body is ended by the last chunk.
    """
    head = answer(
        200,
        b"",
        {
            "X-Amz-Executed-Version": "$LATEST",
            "Content-Type": "application/vnd.amazon.eventstream",
        },
    ).replace(b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n")
    chunks = [b"%x\r\n%s\r\n" % (len(each), each) for each in frames]
    return head + b"".join(chunks) + (b"0\r\n\r\n" if is_ended else b"")


HeaderValue = str | bytes | bool | int
"""The value of a frame's header: a string, bytes, a boolean, or a 32-bit integer."""


def frame(headers: Mapping[str, HeaderValue], payload: bytes = b"") -> bytes:
    """Return one frame of `application/vnd.amazon.eventstream`."""
    block = b"".join(
        bytes([len(name)]) + name.encode() + _header_value(value) for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return message + struct.pack(">I", zlib.crc32(message))


def _header_value(value: HeaderValue) -> bytes:
    if isinstance(value, bool):
        return bytes([0 if value else 1])
    if isinstance(value, int):
        return b"\x04" + struct.pack(">i", value)
    kind, data = (b"\x07", value.encode()) if isinstance(value, str) else (b"\x06", value)
    return kind + struct.pack(">H", len(data)) + data


def chunk_frame(payload: bytes, **headers: HeaderValue) -> bytes:
    """Return a `PayloadChunk`."""
    named = {":message-type": "event", ":event-type": "PayloadChunk"}
    return frame({**named, **headers}, payload)


def complete_frame(**members: object) -> bytes:
    """Return an `InvokeComplete`; with `ErrorCode` and `ErrorDetails`, that of a failure."""
    return frame(
        {":message-type": "event", ":event-type": "InvokeComplete"}, json.dumps(members).encode()
    )
