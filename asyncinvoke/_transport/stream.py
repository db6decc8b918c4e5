"""`OpenStream`: the answer of InvokeWithResponseStream as it comes, whichever way it came."""

import contextlib
import json
import math
import struct
import time
from collections import deque
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import anyio
from botocore.eventstream import ChecksumMismatch, EventStreamHeaderParser

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import StreamEnd, StreamHead, decode_log_result
from asyncinvoke._transport.bodies import Body
from asyncinvoke._transport.exceptions import failure_from

_PRELUDE = struct.Struct(">III")
_LONGEST_HEADERS = 131_072
_LONGEST_FRAME = 25_165_824 + 131_072 + 16
"""The longest headers and payload that botocore reads: 128 KiB and 24 MiB."""

_MOST_KINDS = 16
"""How many kinds of frames have their headers remembered."""


class FrameReader:
    """Turns the bytes of a body, however they are cut, into what the function wrote.

    A frame is two lengths, their checksum, headers, a payload, and a checksum of all that. botocore
    reads the headers; it would read the frames too, but copies what it holds for each of them and
    takes the headers apart anew, though those of all chunks are the same bytes. A property test
    holds this to botocore's `EventStreamBuffer`.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._kinds: dict[bytes, dict[str, Any]] = {}

    def feed(self, data: bytes) -> Iterator[bytes | StreamEnd | Failure]:
        """Add bytes; yield what is complete now. After an end or a failure nothing is read."""
        self._held += data
        try:
            while (frame := self._next()) is not None:
                read = _read(*frame)
                if read is not None:
                    yield read
        except ChecksumMismatch as error:
            yield _damaged(TransportFault.CHECKSUM, str(error))
        except Exception as error:  # noqa: BLE001  # a hostile frame may break the parser anywhere
            yield _damaged(TransportFault.PROTOCOL, type(error).__name__)

    def _next(self) -> tuple[dict[str, Any], bytes] | None:
        """Take the headers and the payload of the next frame, once it is there as a whole."""
        held = self._held
        if len(held) < _PRELUDE.size:
            return None
        length, headers_length, checksum = _PRELUDE.unpack_from(held)
        _check(checksum, crc32(held[: _PRELUDE.size - 4]))
        headers_end = _PRELUDE.size + headers_length
        if headers_length > _LONGEST_HEADERS or not headers_end + 4 <= length <= _LONGEST_FRAME:
            raise ValueError(length)
        if len(held) < length:
            return None
        with memoryview(held) as view:
            _check(int.from_bytes(view[length - 4 : length], "big"), crc32(view[: length - 4]))
            headers = self._headers(bytes(view[_PRELUDE.size : headers_end]))
            payload = bytes(view[headers_end : length - 4])
        del held[:length]
        return headers, payload

    def _headers(self, raw: bytes) -> dict[str, Any]:
        headers = self._kinds.get(raw)
        if headers is None:
            headers = EventStreamHeaderParser().parse(raw)
            if len(self._kinds) < _MOST_KINDS:
                self._kinds[raw] = headers
        return headers


def _check(expected: int, calculated: int) -> None:
    if expected != calculated:
        raise ChecksumMismatch(expected, calculated)


def _damaged(fault: TransportFault, message: str) -> Failure:
    return Failure(fault=fault, phase=Phase.HEAD_READ, message=message)


def _read(headers: dict[str, Any], payload: bytes) -> bytes | StreamEnd | Failure | None:
    match headers.get(":message-type"), headers.get(":event-type"):
        case "event", "PayloadChunk":
            # An empty chunk says nothing, and a reader may take it for the end.
            return payload or None
        case "event", "InvokeComplete":
            return _end(payload)
        case "event", _:
            return None  # what the service may add one day
        case "exception", _:
            return _exception(headers.get(":exception-type"), payload)
        case "error", _:
            return Failure(
                code=_text(headers.get(":error-code")),
                message=_text(headers.get(":error-message")) or "",
            )
        case other, _:
            return _damaged(TransportFault.PROTOCOL, f"a message of type {type(other).__name__}")


def _end(payload: bytes) -> StreamEnd:
    members = _members(payload)
    return StreamEnd(
        error_code=_text(members.get("ErrorCode")) or None,
        error_details=_text(members.get("ErrorDetails")),
        log_result=decode_log_result(_text(members.get("LogResult"))),
    )


def _exception(code: object, payload: bytes) -> Failure:
    members = _members(payload)
    return Failure(
        code=_text(code),
        message=_text(members.get("message", members.get("Message"))) or "",
        reason=_text(members.get("Reason")),
    )


def _members(payload: bytes) -> dict[str, Any]:
    """Return what a frame holds by name; a frame of ours that holds something else is damaged."""
    members = json.loads(payload or b"{}")
    if not isinstance(members, dict):
        raise TypeError
    return members


def _text(value: object) -> str | None:
    """Return what is said of a member: as text, whatever it is instead."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    # A lone surrogate is JSON, but no terminal and no file takes it.
    return text.encode(errors="replace").decode()


_LAST_WORDS = 1.0
"""Seconds that a body may take to end after `InvokeComplete`, so that its connection is kept."""


class OpenStream:
    """A stream whose head has come.

    Args:
        head: What came before the body.
        body: The body, which keeps the deadline.
        deadline: When all of it must have ended, on `time.monotonic()`.
    """

    def __init__(self, head: StreamHead, body: Body, deadline: float = math.inf) -> None:
        self.head = head
        self._body = body
        self._deadline = deadline
        self._frames = FrameReader()
        self._ready: deque[bytes | StreamEnd | Failure] = deque()

    async def receive(self) -> bytes | StreamEnd | Failure:
        """Return the next chunk or how the stream ended; a failure is a value.

        Nothing is read ahead: the service is slowed down to the caller's pace.
        """
        while not self._ready:
            try:
                data = await self._body.read()
            except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a value
                return failure_from(error, Phase.HEAD_READ)
            if not data:
                return Failure(
                    fault=TransportFault.TRUNCATED,
                    phase=Phase.BODY_READ,
                    message="no InvokeComplete came",
                )
            self._ready.extend(self._frames.feed(data))
        return self._ready.popleft()

    async def finish(self) -> None:
        """After the end: keep the connection if the body ends soon, and close it otherwise."""
        # The answer is complete, whatever happens: only the connection can be lost. So a deadline
        # must not pass in here.
        patience = min(_LAST_WORDS, (self._deadline - time.monotonic()) / 2)
        try:
            with contextlib.suppress(Exception), anyio.move_on_after(patience):
                while await self._body.read():
                    pass
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end."""
        with anyio.CancelScope(shield=True):
            await self._body.aclose()
