"""Lines cut out of whatever pieces the input comes in."""

import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import InvalidRequestError
from asyncinvoke.cli.jsonl import encode_line
from asyncinvoke.cli.lines import MOST, Line, LineCounter, Splitter

BOM = b"\xef\xbb\xbf"


def cut(chunks: Iterable[bytes]) -> list[Line]:
    splitter = Splitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return [*lines, *splitter.finish()]


def counted(chunks: Iterable[bytes]) -> int:
    counter = LineCounter()
    for chunk in chunks:
        counter.feed(chunk)
    return counter.total


@given(st.binary(max_size=40) | st.text("1 \r\n\t\ufeff", max_size=40).map(str.encode), st.data())
def test_lines_do_not_depend_on_the_pieces_that_they_come_in(
    text: bytes, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    lines = cut(pieces)
    texts = text.removeprefix(BOM).split(b"\n")
    expected = [(n, t.strip()) for n, t in enumerate(texts, 1) if t.strip()]
    assert [(line.number, line.data) for line in lines] == expected
    assert all(line.size == len(line.data) for line in lines)
    if not text.startswith(BOM) or pieces[0].startswith(BOM):
        assert counted(pieces) == len(expected)


def test_it_is_known_of_the_last_line_alone_that_no_line_end_followed() -> None:
    assert [line.is_ended for line in cut([b"1\n2"])] == [True, False]
    assert [line.is_ended for line in cut([b"1\n2\n"])] == [True, True]


def test_a_line_may_be_as_long_as_lambda_takes_and_no_longer() -> None:
    text = b'"%s"' % (b"x" * (MOST - 2))
    (line,) = cut([BOM + text + b"\r\n"])
    assert encode_line(line) == text
    (line,) = cut([text + b"x\n"])
    with pytest.raises(InvalidRequestError, match=r"line 1: 6,291,457 bytes are too many"):
        encode_line(line)


def test_a_line_that_is_too_long_is_counted_and_not_held() -> None:
    chunk = b"x" * 262_144
    tracemalloc.start()
    try:
        first, long, last = cut([b"1\n", *[chunk] * 400, b"\n", b"3"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * MOST + 4_000_000
    assert (first.number, long.number, last.number) == (1, 2, 3)
    assert (long.size, len(long.data)) == (400 * 262_144, 64)
    with pytest.raises(InvalidRequestError, match=r"line 2: 104,857,600 bytes are too many"):
        encode_line(long)


def test_blanks_before_a_line_that_is_too_long_do_not_hide_it() -> None:
    (line,) = cut([b" " * (MOST + 100) + b"1\n"])
    assert line.is_too_long


def test_an_error_names_the_line_and_quotes_nothing_of_it() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encode_line(Line(number=7, data=b'{"password": hunter2}', size=21))
    assert str(caught.value) == "line 7: not JSON: Expecting value at column 14"
