"""A stream over a body: chunks that arrived in one read are returned without waiting."""

import itertools
import math
from collections.abc import Iterable

import pytest

from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import StreamEnd, StreamHead
from asyncinvoke._transport.http.errors import WireError
from asyncinvoke._transport.stream import OpenStream, read_whole
from asyncinvoke.local.protocol import event_stream

pytestmark = pytest.mark.anyio


class Reads:
    """A body that arrives in given reads, and counts them."""

    def __init__(self, reads: Iterable[list[bytes]]) -> None:
        self._reads = iter(reads)
        self.count = 0
        self.is_closed = False

    async def read(self) -> list[bytes]:
        self.count += 1
        return next(self._reads, [])

    async def aclose(self) -> None:
        self.is_closed = True


def stream_over(body: Reads) -> OpenStream:
    head = StreamHead(status_code=200, executed_version=None, request_id=None, content_type=None)
    return OpenStream(head, body, math.inf)


async def test_the_chunks_of_one_read_are_available_after_the_first() -> None:
    frames = [event_stream.payload_chunk(b"%d" % number) for number in range(5)]
    body = Reads([[frames[0] + frames[1], frames[2], frames[3] + frames[4][:7]], [frames[4][7:]]])
    stream = stream_over(body)
    assert not stream.chunks
    assert await stream.receive() == b"0"
    assert list(stream.chunks) == [b"1", b"2", b"3"]
    assert [await stream.receive() for _ in range(3)] == [b"1", b"2", b"3"]
    assert body.count == 1
    assert await stream.receive() == b"4"
    assert body.count == 2


async def test_an_end_or_damage_that_came_with_chunks_is_reported_after_them() -> None:
    chunk, end = event_stream.payload_chunk(b"x"), event_stream.invoke_complete()
    damaged = chunk[:-1] + bytes([chunk[-1] ^ 1])
    for last, expected in ((end, StreamEnd), (damaged, Failure)):
        body = Reads([[chunk + chunk, last + chunk]])
        stream = stream_over(body)
        assert [await stream.receive() for _ in range(2)] == [b"x", b"x"]
        assert not stream.chunks
        assert isinstance(await stream.receive(), expected)
        assert body.count == 1


async def test_a_body_that_ends_without_an_end_is_truncated() -> None:
    stream = stream_over(Reads([[event_stream.payload_chunk(b"x")]]))
    assert await stream.receive() == b"x"
    ended = await stream.receive()
    assert isinstance(ended, Failure)
    assert ended.fault is TransportFault.TRUNCATED


async def test_what_is_longer_than_any_answer_of_lambda_is_not_read_to_its_end() -> None:
    body = Reads(itertools.repeat([b"x" * 1_000_000]))
    with pytest.raises(WireError, match="which none of Lambda's is"):
        await read_whole(body)
    assert (body.count, body.is_closed) == (7, True)


async def test_after_its_end_a_stream_is_read_until_its_connection_can_be_used_again() -> None:
    body = Reads([[event_stream.invoke_complete()], [b"a trailer"], [b"another"]])
    stream = stream_over(body)
    assert isinstance(await stream.receive(), StreamEnd)
    await stream.finish()
    assert (body.count, body.is_closed) == (4, True)
