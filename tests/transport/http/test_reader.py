"""The response parser: where answers end, what is rejected, and agreement with other parsers."""

import math
import sys
from collections import deque
from collections.abc import Callable

import pytest

from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import MOST_HEAD, MOST_INTERIM, Answer, AnswerError
from asyncinvoke._transport.http.reader import AnswerReader
from asyncinvoke._transport.http.whole import WholeReader
from tests.transport.http.differential import compare_many

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(*pieces: bytes, most_body: float = 1000) -> tuple[Answer, AnswerReader]:
    reader = AnswerReader(most_body, WholeReader())
    for piece in pieces:
        reader.feed(piece)
    reader.feed_eof()
    return reader.answer(), reader


def in_bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


GOOD = {
    "length": (OK + b"Content-Length: 2\r\n\r\nhi", 200, b"hi"),
    "length with spaces": (OK + b"Content-Length: \t2 \r\n\r\nhi", 200, b"hi"),
    "no body": (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", 202, b""),
    "204 without a length": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "204 with a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", 204, b""),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", 304, b""),
    "until close": (OK + b"\r\nhi", 200, b"hi"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhi", 200, b"hi"),
    "no reason": (b"HTTP/1.1 500\r\nContent-Length: 2\r\n\r\nhi", 500, b"hi"),
    "chunked": (CHUNKED + b"2\r\nhi\r\n1\r\n\n\r\n0\r\n\r\n", 200, b"hi\n"),
    "chunked with extensions": (CHUNKED + b'2;a;b="c d"\r\nhi\r\n0;e\r\n\r\n', 200, b"hi"),
    "chunked with trailers": (CHUNKED + b"2\r\nhi\r\n0\r\nA: b\r\nC: d\r\n\r\n", 200, b"hi"),
    "chunk of line ends": (CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n", 200, b"\r\n\r\n"),
    "interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
        + (OK + b"Content-Length: 2\r\n\r\nhi"),
        200,
        b"hi",
    ),
}


@pytest.mark.parametrize(("data", "status", "body"), GOOD.values(), ids=GOOD)
def test_an_answer_is_read_whole_and_in_single_bytes(data: bytes, status: int, body: bytes) -> None:
    for pieces in ([data], in_bytes(data)):
        answer, reader = read(*pieces)
        assert (answer.status, answer.body) == (status, body)
        assert not reader.surplus


@pytest.mark.parametrize(("number", "body"), [(b"2", b"hi"), (b" ", b""), (b"\t", b"")])
def test_a_length_of_more_digits_than_python_converts_is_read_in_pieces_too(
    number: bytes, body: bytes
) -> None:
    head = OK + b"Content-Length: " + b"0" * sys.get_int_max_str_digits() + number + b"\r\n\r\n"
    for pieces in ([head + body], [head, body], in_bytes(head + body)):
        answer, _ = read(*pieces)
        assert answer.body == body


@pytest.mark.parametrize(("data", "status", "body"), GOOD.values(), ids=GOOD)
def test_every_byte_after_an_answer_is_noticed(data: bytes, status: int, body: bytes) -> None:
    whole, _ = read(data)
    if b"ontent-Length" not in data and b"chunked" not in data and status != 204:
        return  # the body ends with the connection
    for behind in (b"\r", b"\n", b"\r\n", b"x", OK, b"\0", data):
        for pieces in ([data + behind], [data, behind], in_bytes(data + behind)):
            answer, reader = read(*pieces)
            assert answer.body == whole.body
            assert reader.surplus, behind


@pytest.mark.parametrize(("data", "status", "body"), GOOD.values(), ids=GOOD)
def test_a_premature_end_anywhere_is_distinguished(data: bytes, status: int, body: bytes) -> None:
    head = data.index(b"\r\n\r\n", data.index(OK) if OK in data else 0) + 4
    until_close = b"ontent-Length" not in data and b"chunked" not in data and status != 204
    for end in range(len(data)):
        if end < head:
            with pytest.raises(AnswerError) as raised:
                read(data[:end])
            assert raised.value.fault is TransportFault.CONNECTION_LOST
        elif until_close:
            assert read(data[:end])[0].body == data[head:end]
        else:
            with pytest.raises(AnswerError) as raised:
                read(data[:end])
            assert raised.value.fault is TransportFault.TRUNCATED


BAD = {
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
    "the same length twice": OK + b"Content-Length: 2\r\ncontent-length: 2\r\n\r\nhi",
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nhi",
    "a signed length": OK + b"Content-Length: +2\r\n\r\nhi",
    "no length": OK + b"Content-Length:\r\n\r\nhi",
    "a length beyond 64 bits": OK + b"Content-Length: 99999999999999999999\r\n\r\nhi",
    "a length with chunks": OK
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks with a length": OK
    + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "an unknown coding": OK + b"Transfer-Encoding: gzip\r\n\r\nhi",
    "another coding first": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "another coding last": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\nhi",
    "chunked twice": OK
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding of nothing": b"HTTP/1.1 204 No\r\nTransfer-Encoding: gzip\r\n\r\n",
    "identity": OK + b"Transfer-Encoding: identity\r\n\r\nhi",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": OK + b"Content-Length : 2\r\n\r\nhi",
    "a bare LF": OK + b"X: a\nContent-Length: 2\r\n\r\nhi",
    "a bare CR": OK + b"X: a\rContent-Length: 2\r\n\r\nhi",
    "a NUL in a value": OK + b"X: \0\r\nContent-Length: 2\r\n\r\nhi",
    "a NUL in the reason": b"HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nhi",
    "a line without a colon": OK + b"X\r\nContent-Length: 2\r\n\r\nhi",
    "an empty line first": b"\r\n" + OK + b"Content-Length: 2\r\n\r\nhi",
    "two empty lines first": b"\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi",
    "switching protocols": b"HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    "switching to nothing": b"HTTP/1.1 101 S\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "RTSP": b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 99 OK\r\nContent-Length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 003 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "a chunk without a size": CHUNKED + b"\r\nhi\r\n0\r\n\r\n",
    "a chunk's size with a prefix": CHUNKED + b"0x2\r\nhi\r\n0\r\n\r\n",
    "a chunk's size too large": CHUNKED + b"ffffffffffffffffff\r\nhi\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"2\r\nhiX\r\n0\r\n\r\n",
    "a chunk shorter than its size": CHUNKED + b"3\r\nhi\r\n0\r\n\r\n",
    "a chunk with a bare LF": CHUNKED + b"2\nhi\r\n0\r\n\r\n",
    "too many interim answers": b"HTTP/1.1 100 C\r\n\r\n" * (MOST_INTERIM + 1)
    + (OK + b"Content-Length: 0\r\n\r\n"),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_could_be_read_in_two_ways_is_refused(data: bytes) -> None:
    for pieces in ([data], in_bytes(data)):
        with pytest.raises(AnswerError) as raised:
            read(*pieces)
        assert raised.value.fault is TransportFault.PROTOCOL


def test_what_is_not_http_is_refused_at_once_and_not_when_a_head_would_end() -> None:
    reader = AnswerReader(math.inf)
    with pytest.raises(AnswerError):
        reader.feed(b"S")


@pytest.mark.parametrize("step", [1000, 300_000])
def test_a_head_is_read_up_to_its_limit_and_no_further(step: int) -> None:
    def padded(size: int) -> bytes:
        start, end = OK + b"X: ", b"\r\nContent-Length: 0\r\n\r\n"
        return start + b"x" * (size - len(start) - len(end)) + end

    for size, good in ((MOST_HEAD, True), (MOST_HEAD + 1, False)):
        data = padded(size)
        pieces = [data[at : at + step] for at in range(0, size, step)]
        if good:
            assert len(read(*pieces)[0].headers["x"]) > 65_000
        else:
            with pytest.raises(AnswerError, match="head is longer"):
                read(*pieces)


@pytest.mark.parametrize("line", [b"X: y\r\n", b"x"])
def test_a_head_that_never_ends_is_refused_as_soon_as_it_is_too_long(line: bytes) -> None:
    piece = line * (1200 // len(line))
    pieces = [OK + b"X: ", *[piece] * (MOST_HEAD // len(piece) + 1)]
    reader = AnswerReader(math.inf)
    with pytest.raises(AnswerError, match="head is longer"):
        deque(map(reader.feed, pieces), maxlen=0)


def test_a_body_is_read_up_to_its_limit_and_no_further() -> None:
    framings: list[Callable[[bytes], bytes]] = [
        lambda body: OK + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        lambda body: CHUNKED + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n",
        lambda body: OK + b"\r\n" + body,
    ]
    for framed in framings:
        assert len(read(framed(b"x" * 1000))[0].body) == 1000
        with pytest.raises(AnswerError, match="body is longer"):
            read(framed(b"x" * 1001))
        assert len(read(framed(b"x" * 1001), most_body=math.inf)[0].body) == 1001
    # The head alone exceeds it.
    with pytest.raises(AnswerError, match="body is longer"):
        AnswerReader(10).feed(OK + b"Content-Length: 11\r\n\r\n")


@pytest.mark.parametrize("step", [1000, 1 << 30])
def test_what_is_around_chunks_is_read_up_to_a_limit_and_no_further(step: int) -> None:
    def pieces(data: bytes) -> list[bytes]:
        return [data[at : at + step] for at in range(0, len(data), step)]

    # Chunk sizes do not count: an answer may come byte by byte, or many together.
    tiny = b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"
    assert len(read(CHUNKED, *pieces(tiny), most_body=math.inf)[0].body) == 100_000
    for endless in (b"1;" + b"x" * 100_000, b"1\r\nx\r\n0\r\n" + b"X: y\r\n" * 20_000):
        for most_body in (1000, math.inf):
            with pytest.raises(AnswerError, match="framing is longer"):
                read(CHUNKED, *pieces(endless), most_body=most_body)


KEEPING = {
    OK + b"Content-Length: 0\r\n\r\n": True,
    OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n": False,
    OK + b"Content-Length: 0\r\nConnection: Close\r\n\r\n": False,
    OK + b"Content-Length: 0\r\nConnection: x, close\r\n\r\n": False,
    OK + b"Content-Length: 0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n": False,
    b"HTTP/1.1 204 N\r\nConnection: close\r\n\r\n": False,
    b"HTTP/1.1 204 N\r\n\r\n": True,
    b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n": False,
    b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n": True,
    OK + b"\r\n": False,
    CHUNKED + b"0\r\n\r\n": True,
}


@pytest.mark.parametrize(("data", "kept"), KEEPING.items())
def test_whether_a_connection_may_be_used_again(data: bytes, kept: bool) -> None:
    assert read(data)[1].keep_alive is kept


def test_headers_are_found_by_their_names_in_lower_case_and_shown_without_values() -> None:
    data = (
        OK
        + b"X-Amz-A: one\r\nx-amz-a: two\r\nEmpty:\r\nWord: t\xc3\xa9st \r\nContent-Length:0\r\n\r\n"
    )
    headers = read(data)[0].headers
    assert dict(headers) == {"x-amz-a": "one", "empty": "", "word": "tést", "content-length": "0"}
    assert len(headers) == 4
    assert headers.get("amz-a") is None
    assert "one" not in repr(headers)
    with pytest.raises(KeyError):
        headers["missing"]


def test_a_trailer_is_not_a_header_of_this_or_another_answer() -> None:
    answer, _ = read(CHUNKED + b"0\r\nX-Amz-Function-Error: Unhandled\r\n\r\n")
    assert list(answer.headers) == ["transfer-encoding"]


def test_an_answer_error_quotes_nothing_of_the_answer() -> None:
    with pytest.raises(AnswerError) as raised:
        read(OK + b"X-Secret: sesame\nopen\r\n\r\nsesame")
    assert "sesame" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_bytes_after_an_answer_without_a_body_are_not_its_body(status: bytes) -> None:
    data = b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nhi" % status
    for pieces in ([data], in_bytes(data)):
        answer, reader = read(*pieces)
        assert answer.body == b""
        assert reader.surplus


def test_nothing_of_an_answer_in_pieces_is_left_for_the_next() -> None:
    earlier = b"HTTP/1.1 500 No\r\nA: b\r\nContent-Length: 2\r\n\r\nno"
    whole = WholeReader()
    for cut in range(1, len(earlier)):
        assert AnswerReader(1000, whole).feed(earlier)  # with a reused parser
        AnswerReader(1000, whole).feed(earlier[:cut])
        reader = AnswerReader(1000, whole)
        assert reader.feed(OK + b"Content-Length: 2\r\n\r\nhi")
        assert (reader.status, reader.answer().body) == (200, b"hi")
        assert dict(reader.answer().headers) == {"content-length": "2"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_h11_and_aiohttp_read_no_other_body_and_refuse_nothing_together(seed: int) -> None:
    cases = compare_many(1500, seed)
    assert cases["taken by all"] > 300
    assert cases["refused"] > 300


CALLBACKS = ["on_headers_complete", "on_body", "on_message_complete"]


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.parametrize("cut", [lambda data: [data], in_bytes], ids=["whole", "in bytes"])
@pytest.mark.parametrize("kind", GOOD)
def test_an_interrupt_within_a_callback_is_raised_and_not_taken_for_a_parse_error(
    kind: str, cut: Callable[[bytes], list[bytes]], callback: str
) -> None:
    called: list[str] = []

    class Interrupted(AnswerReader):
        __slots__ = ()

    def interrupt(*_: object) -> None:
        called.append(callback)
        raise KeyboardInterrupt

    setattr(Interrupted, callback, interrupt)
    reader = Interrupted(1000)
    try:
        for piece in cut(GOOD[kind][0]):
            reader.feed(piece)
    except KeyboardInterrupt:
        assert called == [callback]
    else:
        assert called == []  # llhttp does not receive every body, nor its end


@pytest.mark.parametrize("kind", GOOD)
def test_an_interrupt_while_an_answer_is_read_at_once_is_raised(kind: str) -> None:
    called: list[str] = []

    class Interrupted(WholeReader):
        __slots__ = ()

        def on_message_complete(self) -> None:
            called.append(kind)
            raise KeyboardInterrupt

    reader = AnswerReader(1000, Interrupted())
    try:
        reader.feed(GOOD[kind][0])
    except KeyboardInterrupt:
        assert called == [kind]
    else:
        assert called == []
