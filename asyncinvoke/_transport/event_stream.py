"""Parses a streamed response: the frames of an event stream, received in pieces of any size."""

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import StreamEnd, decode_log_result
from asyncinvoke._model.text import legible

try:
    # The extra `streams`. Two fifths of the CPU of a stream are checksums with zlib's, which takes ten
    # times as long.
    from isal.isal_zlib import crc32
except ImportError:
    from zlib import crc32

_PRELUDE = 12
_unpack_prelude = struct.Struct(">III").unpack_from
_unpack_checksum = struct.Struct(">I").unpack_from

_LONGEST_HEADERS = 131_072
_LONGEST_FRAME = 25_165_824 + 131_072 + 16
"""botocore's limits on headers and payload: 128 KiB and 24 MiB."""


@dataclass(slots=True)
class _Opening:
    """A frame up to its payload: two lengths, their checksum, and the headers."""

    content: bytes
    size: int
    """The length of the content, in bytes."""
    length: int
    """The length of the whole frame, in bytes."""
    checksum: int
    """The CRC-32 of the content, which that of the whole frame continues."""


class FrameReader:
    """Decodes an event stream, received in pieces of any size, into what the function wrote.

    A frame consists of two lengths, their checksum, headers, a payload, and a checksum of it all.
    botocore parses the headers. It could parse the frames too, but it copies its buffer for each
    frame and parses the headers every time, although all chunks have identical headers. A property
    test compares this class with botocore's `EventStreamBuffer`.

    Most chunks of a stream have the same length too. A frame that begins with the same bytes as the
    last chunk is known up to its payload: nothing of that is parsed or hashed again. If it is also a
    piece of its own, since it was sent as one chunk of HTTP, only its checksum is left to check.

    Frames are parsed in place. Only payloads, which are returned, and incomplete frames are copied;
    a frame is joined when its last piece arrives.
    """

    def __init__(self) -> None:
        self.end: StreamEnd | Failure | None = None
        """How the stream ended; data after that is ignored."""
        self._pieces: list[bytes] = []
        self._size = 0
        self._needed = _PRELUDE
        self._last_chunk: _Opening | None = None

    def feed(self, pieces: Iterable[bytes]) -> list[bytes]:
        """Add bytes, and return the chunks that are complete, up to an end or a failure."""
        chunks: list[bytes] = []
        try:
            for data in pieces:
                if self.end is not None:
                    break
                last = self._last_chunk
                if (
                    last is not None
                    and len(data) == last.length
                    and not self._pieces
                    and data.startswith(last.content)
                ):
                    chunks.append(_read_payload(data, 0, last))
                else:
                    self._read_piece(data, chunks)
        except _ChecksumError as error:
            self.end = _damaged(TransportFault.CHECKSUM, str(error))
        except Exception as error:  # noqa: BLE001  # a hostile frame may break the parser anywhere
            message = f"a frame cannot be read: {type(error).__name__}"
            self.end = _damaged(TransportFault.PROTOCOL, message)
        return chunks

    def _read_piece(self, data: bytes, chunks: list[bytes]) -> None:
        """Parse all frames that are complete with this piece, and keep the rest of it."""
        if self._pieces:
            self._pieces.append(data)
            self._size += len(data)
            if self._size < self._needed:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
        at = self._read_whole_frames(data, chunks)
        if at < len(data):
            self._pieces.append(data[at:])
            self._size = len(data) - at

    def _read_whole_frames(self, data: bytes, chunks: list[bytes]) -> int:
        """Parse all complete frames, and return the offset of the next one."""
        at, size = 0, len(data)
        while at + _PRELUDE <= size:
            opening = last_chunk = self._last_chunk
            if opening is None or not data.startswith(opening.content, at):
                opening = _read_opening(data, at)
            end = at + opening.length
            if end > size:
                self._needed = opening.length
                return at
            payload = _read_payload(data, at, opening)
            at = end
            if opening is last_chunk or self._is_chunk(opening, payload):
                chunks.append(payload)
            elif self.end is not None:
                return size
        self._needed = _PRELUDE
        return at

    def _is_chunk(self, opening: _Opening, payload: bytes) -> bool:
        """Return whether a frame is a chunk to return; if it ends the stream, set `end`."""
        headers, last = opening.content[_PRELUDE:], self._last_chunk
        if last is None or headers != last.content[_PRELUDE:]:
            read = _read_message(headers, payload)
            if not isinstance(read, bytes):
                self.end = read
                return False
        if not payload:
            return False  # an empty chunk could be mistaken for the end
        self._last_chunk = opening
        return True


def _read_opening(data: bytes, at: int) -> _Opening:
    """Parse a frame up to its payload, of which not all need have arrived.

    Raises:
        _ChecksumError: The lengths are damaged.
        ValueError: They are impossible, or exceed a limit.
    """
    length, headers_length, checksum = _unpack_prelude(data, at)
    found = crc32(data[at : at + 8])
    if found != checksum:
        raise _ChecksumError(checksum, found)
    size = _PRELUDE + headers_length
    if headers_length > _LONGEST_HEADERS or length > _LONGEST_FRAME or size + 4 > length:
        raise ValueError(length)
    content = data[at : at + size]
    return _Opening(content, size, length, crc32(content))


def _read_payload(data: bytes, at: int, opening: _Opening) -> bytes:
    """Return the payload of a whole frame.

    Raises:
        _ChecksumError: The frame is damaged.
    """
    end = at + opening.length - 4
    payload = data[at + opening.size : end]
    (checksum,) = _unpack_checksum(data, end)
    found = crc32(payload, opening.checksum)
    if found != checksum:
        raise _ChecksumError(checksum, found)
    return payload


def _read_message(raw: bytes, payload: bytes) -> bytes | StreamEnd | Failure | None:
    """Parse a frame: a chunk, how the stream ended, or `None` for an unknown event."""
    # Deferred: a heavy import that only streams need.
    from botocore.eventstream import EventStreamHeaderParser

    headers: dict[str, Any] = EventStreamHeaderParser().parse(raw)
    match headers.get(":message-type"), headers.get(":event-type"):
        case "event", "PayloadChunk":
            return payload
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
