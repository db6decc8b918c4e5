"""JSON for a terminal: the same JSON, to the letter of each number and string."""

import json

from click import unstyle
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke.cli.pretty import pretty

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JSON, st.booleans())
def test_it_is_what_json_would_indent(value: object, colours: bool) -> None:
    text = json.dumps(value)
    assert unstyle(pretty(text, colours=colours)) == json.dumps(value, indent=2)


def test_no_number_loses_a_digit_and_no_name_is_dropped() -> None:
    text = '{"a":1.00000000000000000001,"a":1e400,"b":-0.0}'
    said = pretty(text, colours=False)
    assert said == '{\n  "a": 1.00000000000000000001,\n  "a": 1e400,\n  "b": -0.0\n}'
    assert "\x1b[" in pretty(text, colours=True)
