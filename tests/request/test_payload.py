"""Payloads and client contexts: what is sent, what is refused, and that errors quote nothing."""

import base64
import functools
import gc
import json
import traceback
from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import Any
from unittest.mock import AsyncMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._model.response import Response, decode_json, decode_log_result
from asyncinvoke._request.payload import (
    check_plain,
    encode_client_context,
    encode_json,
    encode_payload,
)
from asyncinvoke._request.request import InvocationType
from asyncinvoke.errors import ConfigurationError, InvalidRequestError

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


def nested(depth: int) -> object:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


def loop() -> list[object]:
    endless: list[object] = [SECRET]
    endless.append(endless)
    return endless


class Hostile(dict[str, object]):
    def items(self) -> Any:
        raise ValueError(f"Object of type {SECRET} is not JSON serializable")


NO_JSON: dict[str, tuple[object, str]] = {
    "nan": ({SECRET: float("nan")}, "it holds NaN or an infinity, which JSON cannot hold"),
    "infinity": ([SECRET, float("-inf")], "it holds NaN or an infinity, which JSON cannot hold"),
    "nan as a key": ({float("nan"): SECRET}, "it holds NaN or an infinity, which JSON cannot hold"),
    "set": ({SECRET}, "it holds a value of type set, which JSON cannot hold"),
    "object": ({SECRET: object()}, "it holds a value of type object, which JSON cannot hold"),
    "bytes": ({SECRET: b"x"}, "it holds a value of type bytes, which JSON cannot hold"),
    "date": ([SECRET, date.today()], "it holds a value of type date, which JSON cannot hold"),
    "key": ({(SECRET,): 1}, "it holds a key of type tuple, where JSON takes strings"),
    "circle": (loop(), "it contains itself"),
    "digits": ([SECRET, 10**4300], "it holds an integer of more than 4,300 digits"),
    "depth": ([SECRET, nested(100_000)], "it is nested too deeply"),
    "an error of its own": (Hostile({"a": 1}), "ValueError"),
}


@pytest.mark.parametrize(("payload", "why"), NO_JSON.values(), ids=NO_JSON)
def test_a_payload_that_is_not_json_is_refused_with_the_reason_and_not_quoted(
    payload: object, why: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encoded(payload)
    assert str(caught.value) == f"payload cannot be encoded: {why}"
    assert holds_nothing_of_it(caught.value)


@pytest.mark.parametrize(("value", "why"), NO_JSON.values(), ids=NO_JSON)
def test_a_client_context_that_is_not_json_is_refused_with_the_reason(
    value: object, why: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encode_client_context({"k": value})
    assert str(caught.value) == f"client_context cannot be encoded: {why}"
    assert holds_nothing_of_it(caught.value)


def test_a_payload_that_is_too_large_is_not_kept_by_its_error() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encoded(SECRET * 1_000_000)
    assert holds_nothing_of_it(caught.value)
    with pytest.raises(InvalidRequestError) as caught:
        encode_client_context({SECRET: "x" * 4000})
    assert holds_nothing_of_it(caught.value)


def holds_nothing_of_it(error: BaseException) -> bool:
    """Return whether neither an error nor this package's frames in it hold the secret."""
    told = [str(error), repr(error)]
    seen: BaseException | None = error
    while seen is not None:
        for frame, _ in traceback.walk_tb(seen.__traceback__):
            if frame.f_code.co_filename != __file__:
                told += [
                    repr(value)
                    for name, value in frame.f_locals.items()
                    if not name.startswith("__")
                ]
        seen = seen.__cause__ or seen.__context__
    return not any(SECRET in text for text in told)


@given(st.text(), st.text(st.characters(categories=["Cs"])), st.text())
def test_text_that_only_an_escape_can_hold_is_sent_as_json_dumps_writes_it(
    before: str, lone: str, after: str
) -> None:
    value = {before + lone: [lone + after, before]}
    assert json.loads(encoded(value)) == json.loads(json.dumps(value))


def test_a_lone_surrogate_is_an_escape_and_nothing_beside_it_changes() -> None:
    assert encoded({"name": "caf\udce9 \u00e9\\"}) == '{"name":"caf\\udce9 \u00e9\\\\"}'.encode()


def test_a_released_memoryview_is_refused() -> None:
    view = memoryview(b"raw")
    view.release()
    with pytest.raises(InvalidRequestError, match="payload cannot be encoded: ValueError"):
        encoded(view)


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


def test_a_coroutine_that_a_codec_returns_is_refused_and_closed() -> None:
    async def encode(value: object) -> bytes:
        return b""

    # A coroutine that is not closed would warn, which is an error here.
    with pytest.raises(InvalidRequestError, match="returned coroutine, not bytes"):
        encoded({}, lambda value: encode(value))
    gc.collect()


class Plain:
    def __call__(self, value: object) -> bytes:
        return b""


class Awaited:
    async def __call__(self, value: object) -> bytes:
        return b""

    async def method(self, value: object) -> bytes:
        return b""


async def awaited(value: object) -> bytes:
    return b""


async def generated(value: object) -> AsyncIterator[bytes]:
    yield b""


@pytest.mark.parametrize(
    "function", [encode_json, json.dumps, Plain(), Plain, len, str.encode, lambda value: value]
)
def test_a_plain_function_is_taken(function: Any) -> None:
    check_plain("encode", function)


@pytest.mark.parametrize(
    "function",
    [awaited, Awaited(), Awaited().method, functools.partial(awaited, 1), generated, AsyncMock()],
)
def test_a_function_that_would_have_to_be_awaited_is_refused(function: Any) -> None:
    with pytest.raises(ConfigurationError, match="decode must be a plain function"):
        check_plain("decode", function)


@pytest.mark.parametrize("function", [None, "json", 7])
def test_what_cannot_be_called_is_refused(function: Any) -> None:
    with pytest.raises(ConfigurationError, match="encode must be a function, not"):
        check_plain("encode", function)


def test_a_client_context_is_base64_of_json() -> None:
    context = {"custom": {"name": "\u00e9"}}
    assert json.loads(base64.b64decode(encode_client_context(context))) == context


def test_a_client_context_is_bounded_once_encoded() -> None:
    # The length of base64 is a multiple of four, so 3,580 is the longest that fits into 3,583.
    room = 3_580 // 4 * 3 - len('{"k":""}')
    assert len(encode_client_context({"k": "x" * room})) == 3_580
    with pytest.raises(InvalidRequestError, match=r"3584 bytes once encoded.*at most 3583"):
        encode_client_context({"k": "x" * (room + 1)})


@pytest.mark.parametrize("context", [[("k", "v")], "text", 7])
def test_a_client_context_must_be_a_mapping(context: Any) -> None:
    with pytest.raises(InvalidRequestError, match="must be a mapping, not"):
        encode_client_context(context)


def test_an_answer_that_is_nested_too_deeply_is_a_value_error() -> None:
    response = Response(status_code=200, payload=b"[" * 200_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        response.json()


def strict(payload: bytes) -> Any:
    return {"photo": b"photo"}[payload.decode()]


def test_a_strict_codec_is_not_asked_for_what_it_cannot_read() -> None:
    def response(payload: bytes, function_error: str | None = None) -> Response:
        return Response(
            status_code=200, payload=payload, function_error=function_error, decode=strict
        )

    assert response(b"photo").json() == b"photo"
    assert response(b"").json() is None
    assert response(b'{"errorType":"E"}', "Unhandled").json() == {"errorType": "E"}
    with pytest.raises(KeyError):
        response(b"other").json()


def test_a_log_tail_cut_inside_a_character_is_read() -> None:
    assert decode_log_result(None) is None
    assert decode_log_result(base64.b64encode("END \u00e9".encode()).decode()) == "END \u00e9"
    cut = base64.b64encode("\u00e9ND".encode()[1:]).decode()
    assert decode_log_result(cut) == "\ufffdND"


@given(st.text())
def test_a_log_tail_of_junk_never_raises(junk: str) -> None:
    assert isinstance(decode_log_result(junk), str)
