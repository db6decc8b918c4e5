"""Compares the response parser with h11 and aiohttp's; `benchmarks.fuzz_answers` runs a million.

Answers are generated, most of them are then damaged, and all are cut at random. If the reader
accepts an answer, one of the others must accept it too, and those that do must read the same
status, headers and body. Answers that only the others accept are counted, because the reader may be
stricter, but never laxer.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import h11
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpResponseParserPy

from asyncinvoke._transport.http.answer import AnswerError
from asyncinvoke._transport.http.reader import AnswerReader
from asyncinvoke._transport.http.whole import WholeReader

_MOST = 1 << 20
_NAMES = [b"Date", b"Content-Type", b"x-amzn-RequestId", b"X-Amz-Function-Error", b"Connection"]
_VALUES = [
    b"",
    b"a",
    b"keep-alive",
    b"application/json",
    b"t\xc3\xa9st",
    b"a, b",
    b"\t x \t",
    b"$LATEST",
]
_TOKENS = [
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"1", b"f"),
    *(b"-1", b"+2", b"0x3", b"1_0", b"99999999999999999999", b"\xff", b"HTTP/1.1 200 OK\r\n"),
    *(
        b"HTTP/1.0 ",
        b"HTTP/0.9 ",
        b"HTTP/2.0 ",
        b"RTSP/1.0 ",
        b"ICY 200",
        b"HTTP/1.1 100 C\r\n\r\n",
    ),
    *(b"Content-Length: 3\r\n", b"content-length:0\r\n", b"Content-Length: 3, 3\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"transfer-encoding: gzip\r\n", b"Connection: close\r\n"),
    *(b"Transfer-Encoding: gzip, chunked\r\n", b" folded\r\n", b"Upgrade: h2c\r\n", b"101", b"204"),
    *(b"0\r\n\r\n", b"3\r\nabc\r\n", b'3;x="y"\r\n', b"X: y\r\n"),
]


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of a parser."""

    status: int
    headers: dict[str, str]
    body: bytes


class DisagreementError(Exception):
    """The reader accepted what no other parser accepts, or read something else."""


def make_answer(rng: random.Random) -> bytes:
    """Return a valid answer, with optional parts that HTTP allows."""
    body = rng.randbytes(rng.choice([0, 1, 2, 3, 10, 100]))
    if rng.random() < 0.3:
        body = body.replace(b"\0", b"\r\n\r\n")
    status = rng.choice([200, 200, 200, 202, 204, 304, 400, 413, 429, 500, 503])
    lines = [
        rng.choice(_NAMES) + rng.choice([b":", b": "]) + rng.choice(_VALUES)
        for _ in range(rng.randrange(4))
    ]
    framing = rng.choice(["length", "length", "chunked", "chunked", "close"])
    content = body
    if framing == "length":
        lines.append(b"%b: %d" % (_cased(rng, b"Content-Length"), len(body)))
    elif framing == "chunked":
        lines.append(_cased(rng, b"Transfer-Encoding") + b": " + _cased(rng, b"chunked"))
        content = _chunks(rng, body)
    rng.shuffle(lines)
    version = rng.choice([b"1.1", b"1.1", b"1.1", b"1.0"])
    reason = rng.choice([b" OK", b"", b" ", b" Not \xc3\xa9 good"])
    head = b"\r\n".join([b"HTTP/%b %d%b" % (version, status, reason), *lines]) + b"\r\n\r\n"
    before = b"".join(
        rng.choice([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n"])
        for _ in range(rng.choice([0, 0, 0, 0, 1, 2]))
    )
    behind = rng.choice([b""] * 16 + [b"\r\n", b"x", b"HTTP/1.1 200 OK\r\n", head + content])
    return before + head + content + behind


def damage(rng: random.Random, data: bytes) -> bytes:
    """Return an answer with up to four changes."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        data = _change(rng, data)
    return data


def _change(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    to = min(len(data), at + rng.choice([0, 0, 1, 2, 8]))
    lines = data.split(b"\r\n")
    match rng.randrange(8):
        case 0:
            return data[:at] + rng.choice(_TOKENS) + data[to:]
        case 1:
            return data[:at] + rng.randbytes(1) + data[at + 1 :]
        case 2:
            return data[:at] + data[to:]
        case 3:
            return data[:at]
        case 4:
            return data[:to] + data[at:]
        case 5:
            return b"\r\n".join(rng.sample(lines, len(lines)))
        case 6:
            return b"\r\n".join([*lines[:2], rng.choice(lines), *lines[2:]])
        case _:
            return data.replace(b"\r\n", rng.choice([b"\n", b"\r\n "]), 1)


def cut(rng: random.Random, data: bytes) -> list[bytes]:
    """Return an answer in pieces of random size."""
    if rng.random() < 0.1:
        return [data[at : at + 1] for at in range(len(data))]
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice([0, 1, 2, 5])))
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


_WHOLE = WholeReader()  # reused, as by a connection


def read_by_us(
    pieces: list[bytes], whole: WholeReader | None = _WHOLE
) -> tuple[Reading | None, bool, bool]:
    """Return what our reader reads, whether bytes follow, and whether to reuse the connection."""
    reader = AnswerReader(_MOST, whole)
    try:
        for piece in pieces:
            reader.feed(piece)
        reader.feed_eof()
    except AnswerError:
        return None, False, False
    finally:
        reader.close()
    answer = reader.answer()
    headers = dict(answer.headers)
    if "transfer-encoding" in headers:
        headers["transfer-encoding"] = headers["transfer-encoding"].lower()  # as h11 returns it
    return Reading(answer.status, headers, answer.body), reader.surplus, reader.keep_alive


def read_by_h11(data: bytes) -> Reading | None:
    """Return what h11 reads."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    status, headers, body = 0, {}, bytearray()
    try:
        connection.receive_data(data)
        ended = False
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if ended:
                    return None
                connection.receive_data(b"")
                ended = True
            elif isinstance(event, h11.Response):
                status, headers = event.status_code, _first(event.headers)
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return Reading(status, headers, bytes(body))
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None


class ByAiohttp:
    """aiohttp's parser in Python, which is independent of llhttp."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def __call__(self, data: bytes) -> Reading | None:
        """Return what aiohttp makes of it."""
        parser = HttpResponseParserPy(
            _Unpaused(),  # type: ignore[arg-type]  # as much of a protocol as it asks for
            self._loop,
            _MOST,
            max_line_size=_MOST,
            max_field_size=_MOST,
            read_until_eof=True,
            auto_decompress=False,
        )
        try:
            messages, _, _ = parser.feed_data(data)
            parser.feed_eof()
            for message, stream in messages:
                if message.code >= 200:
                    return self._reading(message, stream)
        except (HttpProcessingError, AssertionError):
            return None
        return None

    def _reading(self, message: Any, stream: Any) -> Reading | None:
        if stream.exception() is not None or not stream.is_eof():
            return None
        body = stream.read_nowait()
        return Reading(message.code, _first(message.raw_headers), body)

    def close(self) -> None:
        """Close the event loop that its streams require."""
        self._loop.close()


class _Unpaused:
    _reading_paused = False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self, resume_parser: bool = True) -> None:
        pass


def compare(pieces: list[bytes], aiohttp: Callable[[bytes], Reading | None]) -> str:
    """Return the case, for a `Counter`.

    Raises:
        DisagreementError: The parsers disagree in a way that is not allowed.
    """
    data = b"".join(pieces)
    ours, surplus, _ = in_pieces = read_by_us(pieces)
    if not in_pieces == read_by_us([data]) == read_by_us([data], whole=None):
        raise DisagreementError(f"not the same in one piece: {pieces!r}")
    if ours is None:
        others = [name for name, theirs in (("h11", read_by_h11(data)),) if theirs is not None]
        return "refused by us alone" if others else "refused"
    if surplus:
        # The others may fail on bytes after the answer: pass them the answer alone.
        data = _whole(data)
    readings = [reading for reading in (read_by_h11(data), aiohttp(data)) if reading is not None]
    if not readings:
        raise DisagreementError(f"taken by us alone: {pieces!r}")
    for reading in readings:
        if reading != ours:
            raise DisagreementError(f"{pieces!r}: {ours} is {reading} for another")
    return "taken by all" if len(readings) == 2 else "taken by us and one"


def _whole(data: bytes) -> bytes:
    reader = AnswerReader(_MOST)
    for at in range(len(data)):
        if reader.feed(data[at : at + 1]):
            return data[: at + 1]
    raise DisagreementError(f"only in other pieces is there an end: {data!r}")


def _first(headers: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        found.setdefault(name.decode().lower(), value.decode("utf-8", "replace"))
    if "transfer-encoding" in found:
        found["transfer-encoding"] = found["transfer-encoding"].lower()
    return found


def _cased(rng: random.Random, name: bytes) -> bytes:
    return rng.choice([name, name.lower(), name.upper()])


def _chunks(rng: random.Random, body: bytes) -> bytes:
    content = bytearray()
    while body:
        size = rng.randrange(1, len(body) + 1)
        extension = rng.choice([b"", b"", b";a", b";a=b", b';a="b"'])
        content += rng.choice([b"%x", b"%X", b"0%x"]) % size + extension + b"\r\n"
        content += body[:size] + b"\r\n"
        body = body[size:]
    trailers = rng.choice([b"", b"", b"X-Trailer: y\r\n", b"A: b\r\nX-Amz-Function-Error: T\r\n"])
    return bytes(content) + rng.choice([b"0", b"000", b"0;x"]) + b"\r\n" + trailers + b"\r\n"


def compare_many(count: int, seed: int) -> Counter[str]:
    """Compare a number of answers; return the count of each case.

    Raises:
        DisagreementError: The reader was wrong; the message has the bytes.
    """
    rng = random.Random(seed)
    cases: Counter[str] = Counter()
    aiohttp = ByAiohttp()
    try:
        for _ in range(count):
            data = make_answer(rng)
            if rng.random() < 0.8:
                data = damage(rng, data)
            cases[compare(cut(rng, data), aiohttp)] += 1
    finally:
        aiohttp.close()
    return cases
