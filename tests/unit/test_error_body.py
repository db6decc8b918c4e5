"""The body of a function error: forms that no runtime has, and hostile ones.

Those that runtimes have are in `tests/vectors`.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._model.error_body import ErrorBody, parse_error_body

BODIES = {
    "own words": ("just text", ErrorBody(error_message="just text")),
    "a number": (7, ErrorBody()),
    "nothing": (None, ErrorBody()),
    "a list": (["a"], ErrorBody()),
    "an empty object": ({}, ErrorBody()),
    "other types": (
        {"errorType": 7, "errorMessage": ["a"], "stackTrace": {"a": 1}, "trace": [1, "b"]},
        ErrorBody(),
    ),
}


@pytest.mark.parametrize(("body", "expected"), BODIES.values(), ids=BODIES)
def test_what_a_body_says_is_read(body: object, expected: ErrorBody) -> None:
    assert parse_error_body(json.dumps(body).encode()) == expected


def test_a_body_that_is_no_json_says_nothing_that_an_error_may_repeat() -> None:
    assert parse_error_body(b"segfault \xff") == ErrorBody()
    assert parse_error_body(b"") == ErrorBody()


KEYS = st.sampled_from(["errorType", "errorMessage", "stackTrace", "trace", "requestId"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.binary()
    | st.dictionaries(KEYS, VALUES).map(lambda body: json.dumps(body).encode())
    | st.text('[{"0').map(str.encode)
)
def test_a_hostile_body_never_raises(body: bytes) -> None:
    read = parse_error_body(body)
    assert all(isinstance(line, str) for line in read.stack_trace)


@pytest.mark.parametrize("body", [b"[" * 200_000, b"1" * 10_000, b"\xef\xbb\xbf{}"])
def test_a_body_that_overtaxes_the_parser_never_raises(body: bytes) -> None:
    parse_error_body(body)
