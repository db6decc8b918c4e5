"""Keys by JSON pointers, payloads by templates, and errors of rows."""

import bisect
import json
import pickle
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import InvalidRequestError, Request
from asyncinvoke._inputs.item import Item, ItemSpec
from asyncinvoke._inputs.json_text import dump_json, parse_json
from asyncinvoke._inputs.template import MISSING, PayloadTemplate, Pointer

# RFC 6901, section 5, with its results.
RFC = json.loads(
    r"""{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5,
    "k\"l": 6, " ": 7, "m~n": 8}"""
)
POINTERS = {
    "": RFC,
    "/foo": ["bar", "baz"],
    "/foo/0": "bar",
    "/": 0,
    "/a~1b": 1,
    "/c%d": 2,
    "/e^f": 3,
    "/g|h": 4,
    "/i\\j": 5,
    '/k"l': 6,
    "/ ": 7,
    "/m~0n": 8,
    "/foo/2": MISSING,
    "/foo/00": MISSING,
    "/foo/-": MISSING,
    "/foo/²": MISSING,
    "/foo/99999999999999999999": MISSING,
    "/nothing": MISSING,
    "/foo/bar/baz": MISSING,
    "/a~1b/0": MISSING,
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def item(
    data: bytes, *, key: str | None = None, template: str | None = None, line: int | None = 7
) -> Item:
    spec = ItemSpec(
        None if key is None else Pointer(key),
        None if template is None else PayloadTemplate(template),
        is_json=False,
    )
    return Item(3, line, data, None, spec)


@pytest.mark.parametrize("text", POINTERS)
def test_a_pointer_resolves_as_the_rfc_says(text: str) -> None:
    expected = POINTERS[text]
    found = Pointer(text).of(RFC)
    assert found is MISSING if expected is MISSING else found == expected


def test_a_pointer_is_a_text() -> None:
    with pytest.raises(InvalidRequestError, match="such as '/id', not int"):
        Pointer(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["id", "#/id", "/a~2", "/~", " /id", "/~~01"])
def test_an_invalid_pointer_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="is not a JSON pointer"):
        Pointer(text)


@given(JSON)
def test_json_that_is_read_and_written_is_the_same(value: object) -> None:
    assert json.loads(dump_json(parse_json(json.dumps(value).encode()))) == value


KEYS = {
    "a text": (b'{"id": "a"}', "a"),
    "a number as it is written": (b'{"id": 1.50e3}', "1.50e3"),
    "a long number": (b'{"id": %s}' % (b"9" * 5000), "9" * 5000),
}


@pytest.mark.parametrize(("data", "key"), KEYS.values(), ids=KEYS)
def test_a_key_is_a_text_or_a_number(data: bytes, key: str) -> None:
    keyed = item(data, key="/id")
    assert (keyed.key, keyed.payload) == (key, data)


NO_KEYS = {
    "not there": (b'{"n": 1}', "line 7: the key /id is not there"),
    "null": (b'{"id": null}', "line 7: the key /id is not a text or a number, or is empty"),
    "true": (b'{"id": true}', "line 7: the key /id is not a text or a number, or is empty"),
    "empty": (b'{"id": ""}', "line 7: the key /id is not a text or a number, or is empty"),
    "no object": (b"1", "line 7: the key /id is not there"),
    "not JSON": (b"{hunter2}", "line 7: not JSON: "),
    "too deep": (b"[" * 100_000, "line 7: not JSON: nested too deeply"),
}


@pytest.mark.parametrize(("data", "why"), NO_KEYS.values(), ids=NO_KEYS)
def test_a_row_without_its_key_is_wrong_whichever_is_asked_for_first(data: bytes, why: str) -> None:
    keyed = item(data, key="/id")
    for _ in range(2):
        with pytest.raises(InvalidRequestError) as caught:
            _ = keyed.key
        assert str(caught.value).startswith(why)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(InvalidRequestError) as caught:
        _ = keyed.payload
    assert str(caught.value).startswith(why)


TEMPLATES = {
    "a value of any type": ('{"n": "{/n}", "b": "x"}', '{"n":[1.10,null],"b":"x"}'),
    "the whole row": ('["{}"]', '[{"id":"a\\"b","n":[1.10,null],"q":5}]'),
    "the row alone": ('"{}"', '{"id":"a\\"b","n":[1.10,null],"q":5}'),
    "within a text": ('"s3://b/{/id}-{/q}{/q}"', '"s3://b/a\\"b-55"'),
    "in a name": ('{"x{/q}": "{/q}"}', '{"x5":5}'),
    "a whole name": ('{"{/q}": 1, "{/id}": 2}', '{"5":1,"a\\"b":2}'),
    "braces": ('["{{}", "{{/q}}", "}{/q}", "{{{/q}}}"]', '["{}","{/q}","}5","{5}"]'),
    "numbers keep their digits": ('[1.50, "{/q}"]', "[1.50,5]"),
}


@pytest.mark.parametrize(("template", "payload"), TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_is_filled_in_with_json(template: str, payload: str) -> None:
    row = b'{"id": "a\\"b", "n": [1.10, null], "q": 5}'
    assert item(row, template=template).payload.decode() == payload


@given(st.dictionaries(st.sampled_from("ab"), JSON, min_size=2))
def test_whatever_a_row_holds_what_comes_of_a_template_is_json(row: dict[str, object]) -> None:
    made = item(json.dumps(row).encode(), template='{"x": "{/a}", "all": "{}", "y": ["{/b}"]}')
    assert json.loads(made.payload) == {"x": row["a"], "all": row, "y": [row["b"]]}


NO_TEMPLATES = {
    "not JSON": ('{"a": {row}}', "it must be JSON itself"),
    "no quotes": ("{/id}", 'a placeholder stands in quotes, as in "{/id}"'),
    "no slash": ('{"a": "{id}"}', "'{id}' in the payload template is not a placeholder"),
    "not closed": ('"a{/id"', "in the payload template is not a placeholder"),
    "no placeholder": ('{"a": 1}', "has no placeholder"),
    "only a brace": ('"{{"', "has no placeholder"),
    "no pointer": ('"{/a~3}"', "is not a JSON pointer"),
}


@pytest.mark.parametrize(("template", "why"), NO_TEMPLATES.values(), ids=NO_TEMPLATES)
def test_a_template_that_is_wrong_is_refused_on_start(template: str, why: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        PayloadTemplate(template)
    assert why in str(caught.value)


UNFILLED = {
    "a value that is not there": ('"{/z}"', "line 7: the template's /z is not there"),
    "an object in a text": ('"a{/o}"', "line 7: the template's /o stands within a text"),
    "true in a text": ('"a{/t}"', "line 7: the template's /t stands within a text"),
}


@pytest.mark.parametrize(("template", "why"), UNFILLED.values(), ids=UNFILLED)
def test_a_row_that_does_not_fit_the_template_is_wrong(template: str, why: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        _ = item(b'{"o": {}, "t": true}', template=template).payload
    assert str(caught.value).startswith(why)


def deepest_row() -> bytes:
    """Return the most deeply nested array that is parsed; how deep depends on Python's version."""

    def is_too_deep(depth: int) -> bool:
        try:
            _ = item(nested(depth)).payload
        except InvalidRequestError:
            return True
        return False

    def nested(depth: int) -> bytes:
        return b"[" * depth + b"]" * depth

    return nested(bisect.bisect_left(range(100_000), True, key=is_too_deep) - 1)


def test_a_row_may_be_nested_too_deeply_to_be_written_again() -> None:
    deep = deepest_row()
    assert item(deep).payload == deep
    with pytest.raises(InvalidRequestError, match="line 7: not JSON: nested too deeply"):
        _ = item(deep, template='{"all": "{}"}').payload


def test_a_template_may_make_a_row_too_large() -> None:
    row = json.dumps({"a": "x" * 4_000_000}).encode()
    with pytest.raises(InvalidRequestError, match="line 7: 8,000,007 bytes are too many"):
        _ = item(row, template='["{/a}","{/a}"]').payload


def test_an_item_without_lines_is_named_by_its_position() -> None:
    with pytest.raises(InvalidRequestError, match="item 3: not JSON"):
        _ = item(b"", line=None).payload


def test_an_item_is_a_request_and_travels() -> None:
    made = item(b'{"id": "a"}', key="/id")
    assert isinstance(made, Request)
    assert (made.function_name, made.timeout, made.idempotent) == (None, None, None)
    again = pickle.loads(pickle.dumps(made))
    assert (again.position, again.line, again.key, again.payload) == (3, 7, "a", made.payload)
    assert repr(made) == "<Item position=3 line=7>"


def test_an_item_of_an_input_overrides_no_option_of_its_map() -> None:
    options = [f.name for f in fields(Request) if f.name not in ("payload", "key")]
    assert [getattr(item(b"{}"), name) for name in options] == [None] * len(options)
