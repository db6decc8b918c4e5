"""Payloads and client contexts: what is sent, what is refused, and that nothing is quoted."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._model.codec import decode_json, decode_log_result, encode_json
from asyncinvoke._request.payload import (
    encode_client_context,
    encode_payload,
)
from asyncinvoke._request.request import InvocationType
from asyncinvoke.errors import InvalidRequestError

SECRET = "correct-horse-battery-staple"
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab\u00e9\u2028"), inner),
    max_leaves=10,
)


def encoded(
    payload: object,
    encode: Callable[[Any], Any] = encode_json,
    invocation_type: InvocationType = InvocationType.REQUEST_RESPONSE,
) -> bytes:
    return encode_payload(payload, encode=encode, invocation_type=invocation_type)


@given(JSON)
def test_json_comes_back_as_it_was(value: object) -> None:
    body = encode_json(value)
    assert json.loads(body) == value
    assert decode_json(body) == value


def test_nothing_is_sent_as_nothing() -> None:
    assert encoded(None) == b""
    assert decode_json(b"") is None


@pytest.mark.parametrize("payload", [b"raw", bytearray(b"raw"), memoryview(b"raw")])
def test_bytes_are_sent_as_they_are(payload: object) -> None:
    body = encoded(payload)
    assert body == b"raw"
    assert type(body) is bytes


@pytest.mark.parametrize(
    ("invocation_type", "limit"),
    [
        (InvocationType.REQUEST_RESPONSE, 6_291_456),
        (InvocationType.DRY_RUN, 6_291_456),
        (InvocationType.EVENT, 1_048_576),
    ],
)
def test_a_payload_may_be_as_large_as_the_limit_and_no_larger(
    invocation_type: InvocationType, limit: int
) -> None:
    assert len(encoded(b"x" * limit, invocation_type=invocation_type)) == limit
    with pytest.raises(InvalidRequestError) as caught:
        encoded(b"x" * (limit + 1), invocation_type=invocation_type)
    assert str(caught.value) == (
        f"payload of {limit + 1} bytes is too large: {invocation_type} takes at most {limit} bytes"
    )


def loop() -> list[object]:
    endless: list[object] = [SECRET]
    endless.append(endless)
    return endless


@pytest.mark.parametrize(
    "payload",
    [
        {SECRET: float("nan")},
        [SECRET, float("inf")],
        {SECRET},
        {SECRET: object()},
        {(SECRET,): 1},
        f"{SECRET}\ud800",
        loop(),
    ],
    ids=["nan", "infinity", "set", "object", "key", "surrogate", "circle"],
)
def test_what_is_no_json_is_refused_without_quoting_it(payload: object) -> None:
    with pytest.raises(InvalidRequestError, match="payload cannot be encoded") as caught:
        encoded(payload)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)


def test_a_codec_that_raises_is_not_quoted() -> None:
    def encode(value: object) -> bytes:
        raise RuntimeError(f"cannot encode {value}")

    with pytest.raises(InvalidRequestError) as caught:
        encoded(SECRET, encode)
    assert str(caught.value) == "payload cannot be encoded: RuntimeError"
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize("result", ["text", None, bytearray(b"x")])
def test_a_codec_must_return_bytes(result: object) -> None:
    with pytest.raises(InvalidRequestError, match=f"returned {type(result).__name__}, not bytes"):
        encoded({}, lambda value: result)


def test_a_client_context_is_base64_of_json() -> None:
    context = {"custom": {"name": "\u00e9"}}
    assert json.loads(base64.b64decode(encode_client_context(context))) == context


def test_a_client_context_is_bounded_once_encoded() -> None:
    # Base64 comes in fours, so 3,580 is the longest that fits into 3,583.
    room = 3_580 // 4 * 3 - len('{"k":""}')
    assert len(encode_client_context({"k": "x" * room})) == 3_580
    with pytest.raises(InvalidRequestError, match=r"3584 bytes once encoded.*at most 3583"):
        encode_client_context({"k": "x" * (room + 1)})


@pytest.mark.parametrize("context", [{"k": {SECRET}}, {"k": float("nan")}, {(1,): SECRET}])
def test_a_client_context_that_is_no_json_is_refused(context: Any) -> None:
    with pytest.raises(InvalidRequestError, match="client_context cannot be encoded") as caught:
        encode_client_context(context)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("context", [[("k", "v")], "text", 7])
def test_a_client_context_must_be_a_mapping(context: Any) -> None:
    with pytest.raises(InvalidRequestError, match="must be a mapping, not"):
        encode_client_context(context)


def test_a_log_tail_cut_inside_a_character_is_read() -> None:
    assert decode_log_result(None) is None
    assert decode_log_result(base64.b64encode("END \u00e9".encode()).decode()) == "END \u00e9"
    cut = base64.b64encode("\u00e9ND".encode()[1:]).decode()
    assert decode_log_result(cut) == "\ufffdND"


@given(st.text())
def test_a_log_tail_of_junk_never_raises(junk: str) -> None:
    assert isinstance(decode_log_result(junk), str)
