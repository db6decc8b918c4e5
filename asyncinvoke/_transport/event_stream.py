"""Parses a streamed response: the frames of an event stream, received in pieces of any size."""

import json
import struct
from typing import Any
from zlib import crc32

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import StreamEnd, decode_log_result
from asyncinvoke._model.text import legible

_PRELUDE = 12
_unpack_prelude = struct.Struct(">III").unpack_from
_unpack_checksum = struct.Struct(">I").unpack_from

_LONGEST_HEADERS = 131_072
_LONGEST_FRAME = 25_165_824 + 131_072 + 16
"""botocore's limits on headers and payload: 128 KiB and 24 MiB."""


class FrameReader:
    """Decodes an event stream, received in pieces of any size, into what the function wrote.

    A frame consists of two lengths, their checksum, headers, a payload, and a checksum of it all.
    botocore parses the headers. It could parse the frames too, but it copies its buffer for each
    frame and parses the headers every time, although all chunks have identical headers. A property
    test compares this class with botocore's `EventStreamBuffer`.

    Frames are parsed in place. Only payloads, which are returned, and incomplete frames are copied;
    a frame is joined when its last piece arrives.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._needed = _PRELUDE
        self._headers_of_a_chunk: bytes | None = (
            None  # none seen; a frame may have no headers at all
        )
        self._has_ended = False

    def feed(self, data: bytes) -> list[bytes | StreamEnd | Failure]:
        """Add bytes, and return what is complete. After an end or a failure, data is ignored."""
        if self._has_ended:
            return []
        if self._pieces:
            self._pieces.append(data)
            self._size += len(data)
            if self._size < self._needed:
                return []
            data = b"".join(self._pieces)
            self._pieces.clear()
        given: list[bytes | StreamEnd | Failure] = []
        try:
            at = self._read_whole_frames(data, given)
        except _ChecksumError as error:
            self._has_ended = True
            given.append(_damaged(TransportFault.CHECKSUM, str(error)))
        except Exception as error:  # noqa: BLE001  # a hostile frame may break the parser anywhere
            self._has_ended = True
            given.append(_damaged(TransportFault.PROTOCOL, type(error).__name__))
        else:
            if at < len(data):
                self._pieces.append(data[at:])
                self._size = len(data) - at
        return given

    def _read_whole_frames(self, data: bytes, given: list[bytes | StreamEnd | Failure]) -> int:
        """Parse all complete frames, and return the offset of the next one."""
        view = memoryview(data)
        at, size = 0, len(data)
        while size - at >= _PRELUDE:
            length, headers_length, checksum = _unpack_prelude(data, at)
            begun = crc32(view[at : at + 8])
            if begun != checksum:
                raise _ChecksumError(checksum, begun)
            headers_end, end = at + _PRELUDE + headers_length, at + length - 4
            if headers_length > _LONGEST_HEADERS or length > _LONGEST_FRAME or headers_end > end:
                raise ValueError(length)
            if end + 4 > size:
                self._needed = length
                return at
            (checksum,) = _unpack_checksum(data, end)
            found = crc32(view[at + 8 : end], begun)
            if found != checksum:
                raise _ChecksumError(checksum, found)
            headers, payload = data[at + _PRELUDE : headers_end], data[headers_end:end]
            if headers != self._headers_of_a_chunk:
                read = self._read(headers, payload)
            else:
                read = payload or None
            if read is not None:
                given.append(read)
                if not isinstance(read, bytes):
                    self._has_ended = True
                    return size
            at = end + 4
        self._needed = _PRELUDE
        return at

    def _read(self, raw: bytes, payload: bytes) -> bytes | StreamEnd | Failure | None:
        """Parse a frame whose headers differ from those of the last chunk."""
        # Deferred: a heavy import that only streams need.
        from botocore.eventstream import EventStreamHeaderParser

        headers: dict[str, Any] = EventStreamHeaderParser().parse(raw)
        match headers.get(":message-type"), headers.get(":event-type"):
            case "event", "PayloadChunk":
                self._headers_of_a_chunk = raw
                # An empty chunk could be mistaken for the end.
                return payload or None
            case "event", "InvokeComplete":
                return _end(payload)
            case "event", _:
                return None  # may be added by the service in the future
            case "exception", _:
                return _exception(headers.get(":exception-type"), payload)
            case "error", _:
                return Failure(
                    code=_event_text(headers.get(":error-code")),
                    message=_event_text(headers.get(":error-message")) or "",
                )
            case other, _:
                kind = type(other).__name__
                return _damaged(TransportFault.PROTOCOL, f"a message of type {kind}")


class _ChecksumError(Exception):
    """A frame is damaged; the message is that of botocore."""

    def __init__(self, expected: int, calculated: int) -> None:
        super().__init__(
            f"Checksum mismatch: expected 0x{expected:08x}, calculated 0x{calculated:08x}"
        )


def _damaged(fault: TransportFault, message: str) -> Failure:
    return Failure(fault=fault, phase=Phase.HEAD_READ, message=message)


def _end(payload: bytes) -> StreamEnd:
    members = _event_members(payload)
    return StreamEnd(
        error_code=_event_text(members.get("ErrorCode")) or None,
        error_details=_event_text(members.get("ErrorDetails")),
        log_result=decode_log_result(_event_text(members.get("LogResult"))),
    )


def _exception(code: object, payload: bytes) -> Failure:
    members = _event_members(payload)
    return Failure(
        code=_event_text(code),
        message=_event_text(members.get("message", members.get("Message"))) or "",
        reason=_event_text(members.get("Reason")),
    )


def _event_members(payload: bytes) -> dict[str, Any]:
    """Return the members of a frame's JSON object; anything else raises `TypeError`."""
    members = json.loads(payload or b"{}")
    if not isinstance(members, dict):
        raise TypeError
    return members


def _event_text(value: object) -> str | None:
    """Return a member as text, whatever its type; `None` if it is missing."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return legible(text)
