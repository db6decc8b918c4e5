"""Splitting an input into lines, whatever its pieces."""

import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import InvalidRequestError
from asyncinvoke._inputs.item import Item, ItemSpec
from asyncinvoke._inputs.lines import MOST, LineCounter, Lines, Row

BOM = b"\xef\xbb\xbf"
SPEC = ItemSpec(None, None, is_json=False)


def cut(chunks: Iterable[bytes]) -> list[Row]:
    lines = Lines()
    rows = [row for chunk in chunks for row in lines.feed(chunk)]
    return [*rows, *lines.finish()]


def items(chunks: Iterable[bytes]) -> list[Item]:
    return [Item(position, *row, SPEC) for position, row in enumerate(cut(chunks))]


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
    texts = text.removeprefix(BOM).split(b"\n")
    expected = [(n, t.strip(), None) for n, t in enumerate(texts, 1) if t.strip()]
    assert cut(pieces) == expected
    if not text.startswith(BOM) or pieces[0].startswith(BOM):
        assert counted(pieces) == len(expected)


def test_a_line_may_be_as_long_as_lambda_takes_and_no_longer() -> None:
    text = b'"%s"' % (b"x" * (MOST - 2))
    (item,) = items([BOM + text + b"\r\n"])
    assert item.payload == text
    (item,) = items([text + b"x\n"])
    with pytest.raises(InvalidRequestError, match=r"line 1: 6,291,457 bytes are too many"):
        _ = item.payload


def test_a_line_that_is_too_long_is_counted_and_not_held() -> None:
    chunk = b"x" * 262_144
    tracemalloc.start()
    try:
        first, long, last = items([b"1\n", *[chunk] * 400, b"\n", b"3"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * MOST + 4_000_000
    assert (first.line, long.line, last.line) == (1, 2, 3)
    with pytest.raises(InvalidRequestError, match=r"line 2: 104,857,600 bytes are too many"):
        _ = long.payload


def test_blanks_before_a_line_that_is_too_long_do_not_hide_it() -> None:
    (item,) = items([b" " * (MOST + 100) + b"1\n"])
    with pytest.raises(InvalidRequestError, match=r"line 1: 6,291,557 bytes are too many"):
        _ = item.payload


def test_an_error_names_the_line_and_quotes_nothing_of_it() -> None:
    item = Item(0, 7, b'{"password": hunter2}', None, SPEC)
    with pytest.raises(InvalidRequestError) as caught:
        _ = item.payload
    assert str(caught.value) == "line 7: not JSON: Expecting value at column 14"
    assert "hunter2" not in repr(item)
