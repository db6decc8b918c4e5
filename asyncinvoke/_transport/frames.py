"""The frames of a response stream, read by botocore's own parser."""

import json
from collections.abc import Iterator

from botocore.eventstream import ChecksumMismatch, EventStreamBuffer, EventStreamMessage

from asyncinvoke._model.codec import decode_log_result
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import StreamEnd


class FrameReader:
    """Turns the bytes of a body, however they are cut, into what the function wrote."""

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()

    def feed(self, data: bytes) -> Iterator[bytes | StreamEnd | Failure]:
        """Add bytes; give what is complete now. After an end or a failure nothing is read."""
        self._buffer.add_data(data)
        try:
            for message in self._buffer:
                read = _read(message)
                if read is not None:
                    yield read
        except ChecksumMismatch as error:
            yield Failure(fault=TransportFault.CHECKSUM, message=str(error), cause=error)
        except Exception as error:  # noqa: BLE001  # a hostile frame may break the parser anywhere
            yield Failure(fault=TransportFault.PROTOCOL, message=type(error).__name__, cause=error)


def _read(message: EventStreamMessage) -> bytes | StreamEnd | Failure | None:
    headers = message.headers
    match headers.get(":message-type"), headers.get(":event-type"):
        case "event", "PayloadChunk":
            # An empty chunk says nothing, and a reader may take it for the end.
            return message.payload or None
        case "event", "InvokeComplete":
            return _end(message.payload)
        case "event", _:
            return None  # what the service may add one day
        case "exception", _:
            return _exception(headers.get(":exception-type"), message.payload)
        case "error", _:
            return Failure(
                code=headers.get(":error-code"), message=headers.get(":error-message") or ""
            )
        case other, _:
            return Failure(fault=TransportFault.PROTOCOL, message=f"a message of type {other!r}")


def _end(payload: bytes) -> StreamEnd:
    members = json.loads(payload or b"{}")
    return StreamEnd(
        error_code=members.get("ErrorCode") or None,
        error_details=members.get("ErrorDetails"),
        log_result=decode_log_result(members.get("LogResult")),
    )


def _exception(code: str | None, payload: bytes) -> Failure:
    members = json.loads(payload or b"{}")
    message = members.get("message") or members.get("Message") or ""
    return Failure(code=code, message=message, reason=members.get("Reason"))
