"""Frames of a response stream, however they are cut, and with any wrong bit."""

import itertools
import json
import subprocess
import sys

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import StreamEnd, StreamHead
from asyncinvoke._transport.event_stream import FrameReader
from asyncinvoke.local.protocol import event_stream

chunks = st.lists(st.binary(max_size=40), max_size=6)
Read = bytes | StreamEnd | Failure


def read(body: bytes, cuts: list[int]) -> list[Read]:
    reader, given_out = FrameReader(), list[Read]()
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for start, end in itertools.pairwise(edges):
        given_out.extend(reader.feed([body[start:end]]))
    return given_out if reader.end is None else [*given_out, reader.end]


@pytest.mark.parametrize("is_installed", [True, False])
def test_checksums_are_those_of_the_extra_where_it_is_installed(is_installed: bool) -> None:
    if is_installed:
        pytest.importorskip("isal")
    script = f"""
import sys, zlib
if not {is_installed}:
    sys.modules["isal"] = None
from asyncinvoke._transport import event_stream
assert (event_stream.crc32 is zlib.crc32) is not {is_installed}
assert event_stream.crc32(b"a", 7) == zlib.crc32(b"a", 7)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def encode(pieces: list[bytes]) -> bytes:
    frames = [event_stream.payload_chunk(piece) for piece in pieces]
    return b"".join([*frames, event_stream.invoke_complete()])


@given(chunks, st.lists(st.integers(min_value=0, max_value=500), max_size=8))
def test_chunks_come_out_as_they_went_in_however_the_body_is_cut(
    pieces: list[bytes], cuts: list[int]
) -> None:
    assert read(encode(pieces), cuts) == [*filter(None, pieces), StreamEnd()]


@given(chunks, st.data())
def test_a_wrong_bit_never_changes_a_chunk_and_never_passes_for_an_end(
    pieces: list[bytes], data: st.DataObject
) -> None:
    body = bytearray(encode(pieces))
    bit = data.draw(st.integers(min_value=0, max_value=8 * len(body) - 1))
    body[bit // 8] ^= 1 << bit % 8
    given_out = read(bytes(body), [])
    whole = [piece for piece in given_out if isinstance(piece, bytes)]
    assert whole == [*filter(None, pieces)][: len(whole)]
    assert not any(isinstance(piece, StreamEnd) for piece in given_out)
    # A length that became larger leaves the reader waiting; any other damage is reported at once.
    assert [f.fault for f in given_out if isinstance(f, Failure)] in (
        [],
        [TransportFault.CHECKSUM],
        [TransportFault.PROTOCOL],
    )


@pytest.mark.parametrize("are_apart", [False, True])
def test_no_wrong_bit_passes_in_frames_that_begin_alike(are_apart: bool) -> None:
    pieces = [b"one", b"two", b"six"]
    body = encode(pieces)
    length = len(event_stream.payload_chunk(b"one"))
    cuts = [length, 2 * length, 3 * length] if are_apart else []
    for bit in range(8 * 3 * length):
        wrong = bytearray(body)
        wrong[bit // 8] ^= 1 << bit % 8
        whole = [piece for piece in read(bytes(wrong), cuts) if isinstance(piece, bytes)]
        assert whole == pieces[: len(whole)]
        assert len(whole) < 3


@given(st.binary(max_size=300), st.lists(st.integers(min_value=0, max_value=300), max_size=4))
def test_arbitrary_bytes_instead_of_frames_are_a_failure_and_no_exception(
    body: bytes, cuts: list[int]
) -> None:
    assert all(isinstance(piece, Failure) for piece in read(body, cuts))


def test_an_unknown_event_is_ignored() -> None:
    news = event_stream.frame({":message-type": "event", ":event-type": "News"}, b"{}")
    assert read(news + encode([b"one"]), []) == [b"one", StreamEnd()]


def test_an_error_frame_is_a_failure_with_its_code() -> None:
    headers = {":message-type": "error", ":error-code": "Throttling", ":error-message": "slow"}
    (failure,) = read(event_stream.frame(headers, b""), [])
    assert failure == Failure(code="Throttling", message="slow")


def test_the_end_of_a_failed_stream_reads_as_the_answer_of_a_failed_function() -> None:
    head = StreamHead(status_code=200, request_id="id-1")
    reply = StreamEnd(error_code="Runtime.ExitError", error_details="it exited").reply(head)
    assert reply.function_error == "Runtime.ExitError"
    assert reply.payload == b'{"errorType": "Runtime.ExitError", "errorMessage": "it exited"}'
    assert reply.request_id == "id-1"
    assert StreamEnd().reply(head).payload == b""


texts = st.text(max_size=5) | st.just("\ud800")
odd = st.none() | st.booleans() | st.integers() | texts | st.lists(st.text(max_size=3))
oddities = st.dictionaries(
    st.sampled_from(["ErrorCode", "ErrorDetails", "LogResult", "message", "Reason"]), odd
)


@given(oddities | odd, st.sampled_from(["event", "exception"]))
def test_members_of_unexpected_types_are_reported_and_raise_nothing(
    content: object, kind: str
) -> None:
    headers = {
        ":message-type": kind,
        ":event-type": "InvokeComplete",
        ":exception-type": "ServiceException",
    }
    (ended,) = read(event_stream.frame(headers, json.dumps(content).encode()), [])
    if isinstance(ended, StreamEnd):
        reply = ended.reply(StreamHead(status_code=200))
        code = content.get("ErrorCode") if isinstance(content, dict) else None
        assert (reply.function_error is None) == (code in (None, ""))
    else:
        assert isinstance(ended, Failure)
        assert isinstance(ended.message, str)
        assert ended.reason is None or isinstance(ended.reason, str)


@given(chunks, st.lists(st.integers(min_value=0, max_value=500), max_size=8), st.data())
def test_frames_are_read_as_botocore_reads_them_whatever_bytes_are_wrong(
    pieces: list[bytes], cuts: list[int], data: st.DataObject
) -> None:
    body = bytearray(encode(pieces))
    for _ in range(data.draw(st.integers(min_value=0, max_value=2))):
        at = data.draw(st.integers(min_value=0, max_value=len(body) - 1))
        body[at] = data.draw(st.integers(min_value=0, max_value=255))
    theirs, broke = list[bytes](), False
    buffer = EventStreamBuffer()
    buffer.add_data(bytes(body))
    try:
        theirs = [m.payload for m in buffer if m.headers.get(":event-type") == "PayloadChunk"]
    except Exception:
        broke = True
    ours = read(bytes(body), cuts)
    if not broke:
        assert [piece for piece in ours if isinstance(piece, bytes)] == [*filter(None, theirs)]
    assert any(isinstance(piece, Failure) and piece.fault for piece in ours) == broke


CHUNK = {":message-type": "event", ":event-type": "PayloadChunk"}
# Headers of frames, including none; only those with CHUNK make a chunk.
kinds = st.sampled_from([CHUNK, {}, {":event-type": "PayloadChunk"}, {":message-type": "event"}])


@given(st.lists(st.tuples(kinds, st.binary(min_size=1, max_size=9)), max_size=6))
def test_only_a_frame_declared_as_a_chunk_is_one_whatever_precedes_it(
    frames: list[tuple[dict[str, str], bytes]],
) -> None:
    given_out = read(b"".join(event_stream.frame(*frame) for frame in frames), [])
    chunks = [piece for piece in given_out if isinstance(piece, bytes)]
    content = [payload for headers, payload in frames if headers is CHUNK]
    assert chunks == content[: len(chunks)]
    # The others are damage, which ends reading, or unknown events.
    assert chunks == content or any(isinstance(piece, Failure) for piece in given_out)


def test_a_frame_that_comes_byte_by_byte_is_put_together_once() -> None:
    reader, frame = FrameReader(), event_stream.payload_chunk(bytes(100_000))
    joined = 0
    for at in range(len(frame)):
        held = len(reader._pieces)
        given = reader.feed([frame[at : at + 1]])
        joined += len(reader._pieces) < held + 1
    assert given == [bytes(100_000)]
    assert joined == 2  # for its lengths, and when it is complete


def test_after_an_end_or_a_failure_nothing_is_read_however_it_comes() -> None:
    end, more = event_stream.invoke_complete(), event_stream.payload_chunk(b"more")
    broken = bytearray(more)
    broken[-1] ^= 1
    for last in (end, bytes(broken), b"\x00" * 12):
        for cuts in ([], [len(last)], [len(last) + 5], [len(last), len(last) + len(more)]):
            assert len(read(last + more + end, cuts)) == 1
        reader = FrameReader()
        assert reader.feed([more, more, last, more, more]) == [b"more", b"more"]
        assert reader.feed([more]) == []
