"""What an answer of Lambda's means: a reply or a failure by its status line, a stream by its frames.

Pure functions over a status, headers and a body, for every way an answer comes, the fake's included.
The body says more where it can be read, and overrules nothing: a 429 that is a sentence, a number or
no text at all is still a throttle.
"""

import json
import re
import struct
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any
from zlib import crc32

from botocore.eventstream import ChecksumMismatch, EventStreamHeaderParser

from asyncinvoke._model.codec import decode_log_result
from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply, StreamEnd, StreamHead
from asyncinvoke._request.request import InvocationType

ACCEPTED = {
    InvocationType.REQUEST_RESPONSE: 200,
    InvocationType.EVENT: 202,
    InvocationType.DRY_RUN: 204,
}
"""The one status that means success, for each kind of invocation. A login page says 200, too."""

_FIRST_ERROR = 400
_REDIRECTS = (301, 302, 307, 308)
"""Whoever answers so has not taken the request. It is not followed: that would deliver it twice."""


def decides(status_code: int) -> bool:
    """Whether an answer says all by its status line, so that it counts whatever becomes of its body.

    A body that is cut off, damaged, or longer than any of Lambda's is one that adds nothing.
    """
    return status_code >= _FIRST_ERROR or status_code in _REDIRECTS


_LONGEST_ERROR = 1_048_576
"""Bytes of a body beyond which it is not looked into for an error; Lambda's have some hundred."""

_CODE = re.compile(r"[\w.-]{1,128}", re.ASCII)


def read_answer(
    status_code: int, headers: Mapping[str, str], body: bytes, accepted: int
) -> Reply | Failure:
    """Read an answer that came as a whole.

    Args:
        status_code: The HTTP status.
        headers: The headers, to be had by name in lower case.
        body: The whole body.
        accepted: The status that means success, as `ACCEPTED` has it.
    """
    if status_code != accepted:
        return read_failure(status_code, headers, body, accepted)
    log_result = headers.get("x-amz-log-result")
    return Reply(
        status_code=status_code,
        payload=body,
        executed_version=headers.get("x-amz-executed-version"),
        function_error=headers.get("x-amz-function-error") or None,
        log_result=None if log_result is None else decode_log_result(log_result),
        request_id=headers.get("x-amzn-requestid"),
        durable_execution_arn=headers.get("x-amz-durable-execution-arn"),
    )


def read_stream_head(status_code: int, headers: Mapping[str, str]) -> StreamHead:
    """Read what comes before the body of a stream that was accepted."""
    return StreamHead(
        status_code=status_code,
        executed_version=headers.get("x-amz-executed-version"),
        request_id=headers.get("x-amzn-requestid"),
        content_type=headers.get("content-type"),
    )


def read_failure(
    status_code: int, headers: Mapping[str, str], body: bytes, accepted: int = 200
) -> Failure:
    """Read an answer that is no success; what it says as botocore would read it."""
    if status_code < _FIRST_ERROR and status_code not in _REDIRECTS:
        return Failure(
            fault=TransportFault.STATUS,
            phase=Phase.BODY_READ,
            status_code=status_code,
            message=f"status {status_code}, where {accepted} means success",
            request_id=_text(headers.get("x-amzn-requestid")),
        )
    members = _members(body)
    return Failure(
        status_code=status_code,
        code=_code(headers, members) or str(status_code),
        message=_message(status_code, members),
        reason=_text(members.get("Reason")),
        retry_after=_text(headers.get("retry-after")),
        amz_retry_after=_text(headers.get("x-amz-retry-after")),
        request_id=_text(headers.get("x-amzn-requestid")),
    )


def _members(body: bytes) -> dict[str, Any]:
    """Return what an error's body holds, if it holds anything by name."""
    if len(body) > _LONGEST_ERROR:
        return {}
    try:
        read = json.loads(body.decode())
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _code(headers: Mapping[str, str], members: Mapping[str, Any]) -> str | None:
    for named in (
        headers.get("x-amzn-errortype"),
        members.get("code", members.get("Code")),
        members.get("__type"),
    ):
        # "com.amazonaws.lambda#ServiceException:http://..." is a ServiceException.
        code = named.split(":", 1)[0].rsplit("#", 1)[-1] if isinstance(named, str) else ""
        if _CODE.fullmatch(code):
            return code
    return None


def _message(status_code: int, members: Mapping[str, Any]) -> str:
    if not members:
        try:
            return HTTPStatus(status_code).phrase
        except ValueError:
            return ""
    return _text(members.get("message", members.get("Message"))) or ""


def _text(value: object) -> str | None:
    # A lone surrogate is JSON, and stands for what a header has of no text; but no terminal and no
    # file takes it.
    return value.encode(errors="replace").decode() if isinstance(value, str) else None


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
                code=_event_text(headers.get(":error-code")),
                message=_event_text(headers.get(":error-message")) or "",
            )
        case other, _:
            return _damaged(TransportFault.PROTOCOL, f"a message of type {type(other).__name__}")


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
    """Return what a frame holds by name; a frame of ours that holds something else is damaged."""
    members = json.loads(payload or b"{}")
    if not isinstance(members, dict):
        raise TypeError
    return members


def _event_text(value: object) -> str | None:
    """Return what is said of a member: as text, whatever it is instead."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    # A lone surrogate is JSON, but no terminal and no file takes it.
    return text.encode(errors="replace").decode()
