"""Frames of a response stream, read by botocore's own parser."""

import json

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke.local.protocol import event_stream


def parse(data: bytes) -> list[tuple[dict[str, object], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers, message.payload) for message in buffer]


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_botocore_reads_the_bytes_that_were_put_into_chunks(chunks: list[bytes]) -> None:
    whole = b"".join(map(event_stream.payload_chunk, chunks)) + event_stream.invoke_complete()
    messages = parse(whole)
    assert [payload for _, payload in messages[:-1]] == chunks
    headers, payload = messages[-1]
    assert headers[":event-type"] == "InvokeComplete"
    assert json.loads(payload) == {}


def test_an_error_and_the_log_are_members_of_the_last_frame() -> None:
    ((_, payload),) = parse(
        event_stream.invoke_complete(
            error_code="Unhandled", error_details="it broke", log_result="bG9n"
        )
    )
    assert json.loads(payload) == {
        "ErrorCode": "Unhandled",
        "ErrorDetails": "it broke",
        "LogResult": "bG9n",
    }


@given(st.integers(min_value=0))
def test_botocore_refuses_a_frame_of_which_any_byte_of_the_payload_changed(place: int) -> None:
    data = b"some bytes of a function"
    whole = bytearray(event_stream.payload_chunk(data))
    whole[len(whole) - 4 - len(data) + place % len(data)] ^= 1
    with pytest.raises(ChecksumMismatch):
        parse(bytes(whole))
