"""JSON for a terminal: every number and string is unchanged."""

import json

from click import unstyle
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke.cli.terminal import harmless, pretty

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
    printed = pretty(text, colours=False)
    assert printed == '{\n  "a": 1.00000000000000000001,\n  "a": 1e400,\n  "b": -0.0\n}'
    assert "\x1b[" in pretty(text, colours=True)


@given(JSON)
def test_it_contains_no_terminal_control_codes(value: object) -> None:
    shown = pretty(json.dumps(value, ensure_ascii=False), colours=False)
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert json.loads(shown) == value


def test_a_log_keeps_its_colours_but_no_other_control_codes() -> None:
    assert harmless("a\tb \x1b[31mred\x1b[0m") == "a\tb \x1b[31mred\x1b[0m"
    assert harmless("größer \x1b[2J") == r"größer \x1b[2J"
    assert harmless("\x1b]0;title\x07 \x1b[2J \x9b \u202e\r") == (
        r"\x1b]0;title\x07 \x1b[2J \x9b \u202e"
    )
