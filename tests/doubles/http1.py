"""As much of HTTP/1.1 as a scripted endpoint needs, independent of all HTTP libraries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, unquote, urlsplit

from anyio.streams.buffered import BufferedByteStream

from asyncinvoke.local import Answer

_LONGEST_HEAD = 65_536
_LONGEST_BODY = 16_777_216


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTarget:
    """The function that a request is for."""

    function_name: str
    """The function as it was sent, percent-decoded."""
    qualifier: str | None
    """The `Qualifier` of the query."""
    streams: bool = False
    """Whether it is InvokeWithResponseStream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """One request that was read completely."""

    method: str
    """The HTTP method."""
    target: RequestTarget
    """The function it is for."""
    headers: Mapping[str, str] = field(repr=False)
    """The headers, their names in lower case."""
    payload: bytes = field(repr=False)
    """The body."""


async def read_target(stream: BufferedByteStream) -> tuple[str, RequestTarget]:
    """Read only the first line of a request."""
    line = (await stream.receive_until(b"\r\n", _LONGEST_HEAD)).decode("latin-1")
    method, address, _ = line.split(" ", 2)
    # aiobotocore's httpx backend sends an absolute address.
    parts = urlsplit(address)
    segments = parts.path.split("/")
    name = segments[segments.index("functions") + 1] if "functions" in segments else ""
    qualifier = parse_qs(parts.query).get("Qualifier", [None])[0]
    return method, RequestTarget(
        function_name=unquote(name),
        qualifier=qualifier,
        streams=segments[-1] == "response-streaming-invocations",
    )


async def read_request(
    stream: BufferedByteStream, method: str, target: RequestTarget
) -> ReceivedRequest:
    """Read the rest of a request: its headers and its body."""
    headers: dict[str, str] = {}
    while line := await stream.receive_until(b"\r\n", _LONGEST_HEAD):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        payload = await _read_chunks(stream)
    else:
        length = int(headers.get("content-length", "0"))
        payload = await stream.receive_exactly(length) if length else b""
    return ReceivedRequest(method=method, target=target, headers=headers, payload=payload)


def format_head(head: Answer, *, length: int | None) -> bytes:
    """Return the head of a message; without a length, its body is chunked."""
    try:
        phrase = HTTPStatus(head.status_code).phrase
    except ValueError:
        phrase = "Unknown"
    framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": length}
    if head.status_code in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        framing = {}
    headers = {**framing, **head.headers}
    lines = [f"HTTP/1.1 {head.status_code} {phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def format_chunk(data: bytes) -> bytes:
    """Return one chunk of a body; an empty chunk ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _read_chunks(stream: BufferedByteStream) -> bytes:
    chunks = []
    while length := int((await stream.receive_until(b"\r\n", 100)).split(b";")[0], 16):
        chunks.append(await stream.receive_exactly(min(length, _LONGEST_BODY)))
        await stream.receive_until(b"\r\n", 2)
    await stream.receive_until(b"\r\n", _LONGEST_HEAD)
    return b"".join(chunks)
