"""The elements of a JSON array keep their bytes, wherever the input is cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._inputs.array import Array
from asyncinvoke.inputs import InputError

from .cutting import parsed, pieces_of

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.lists(JSON, max_size=5),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.sampled_from(["", "\ufeff", " \r\n"]),
    st.data(),
)
def test_what_json_dumps_reads_back_wherever_it_is_cut(
    values: list[object], indent: int | None, ascii: bool, before: str, data: st.DataObject
) -> None:
    text = (before + json.dumps(values, indent=indent, ensure_ascii=ascii)).encode(
        "utf-8", "backslashreplace"
    )
    rows = parsed(Array("in"), pieces_of(data, text))
    assert [json.loads(row) for _, row, _ in rows] == values
    assert [wrong for *_, wrong in rows] == [None] * len(values)


@pytest.mark.parametrize("number", ["1.0000000000000002e+16", "-0.5E-7", "12", "-1"])
def test_a_number_may_be_cut_anywhere(number: str) -> None:
    text = f"[{number},{number}]".encode()
    for at in range(len(text)):
        rows = parsed(Array("in"), [text[:at], text[at:]])
        assert [row for _, row, _ in rows] == [number.encode()] * 2


def test_elements_keep_their_bytes_and_know_their_lines() -> None:
    text = b'[1.10,\n{"a":\n 1e400} ,"\xc3\xa4",\n\n99999999999999999999999]\n'
    assert parsed(Array("in"), [text]) == [
        (1, b"1.10", None),
        (2, b'{"a":\n 1e400}', None),
        (3, '"ä"'.encode(), None),
        (5, b"99999999999999999999999", None),
    ]


BROKEN = {
    "an object": (b'{"a": 1}', "line 1: it is not a JSON array"),
    "nothing": (b" \n", "line 2: it is empty, and should be a JSON array"),
    "no end": (b"[1, 2", "line 1, after 2 elements: the JSON array is truncated"),
    "no end of an element": (b'[1,\n{"a": ', "line 2, after 1 element: an element is not JSON"),
    "no comma": (b"[1 2]", "line 1, after 1 element: a comma is missing"),
    "two commas": (b"[1,,2]", "line 1, after 1 element: an element is not JSON"),
    "a comma at the end": (b"[1,]", "line 1, after 1 element: an element is not JSON"),
    "NaN": (b"[NaN]", "line 1: an element is not JSON: NaN is not a JSON number"),
    "an infinity": (b"[-Infinity]", "line 1: an element is not JSON: -Infinity is not"),
    "more behind it": (b"[1]\n[2]", "line 2, after 1 element: something follows the end"),
    "not UTF-8": (b'[1,\n"\xff"]', "it is not UTF-8 from here on"),
    "cut within a letter": (b'["\xc3', "it is not UTF-8 from here on"),
    "too deep": (
        b"[1,\n" + b"[" * 100_000,
        "line 2, after 1 element: an element is nested too deeply",
    ),
    "NUL": (b"[\0]", "line 1: an element is not JSON"),
}


@pytest.mark.parametrize(("text", "why"), BROKEN.values(), ids=BROKEN)
def test_an_invalid_array_is_reported_with_line_and_position(text: bytes, why: str) -> None:
    with pytest.raises(InputError) as caught:
        parsed(Array("in"), [text])
    assert why in str(caught.value)


def test_a_long_element_in_small_pieces_takes_time_that_grows_with_it_and_no_faster() -> None:
    text = b'["' + b"x" * 4_000_000 + b'"]'
    tries = 0
    array = Array("in")
    end = array._end

    def counted(*, is_last: bool) -> int | None:
        nonlocal tries
        tries += 1
        return end(is_last=is_last)

    array._end = counted  # type: ignore[method-assign]  # to be counted
    pieces = [text[at : at + 4096] for at in range(0, len(text), 4096)]
    ((_, row, _),) = parsed(array, pieces)
    assert len(row) == 4_000_002
    assert tries < 40
