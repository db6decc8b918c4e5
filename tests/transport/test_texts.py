"""Header values of an answer become printable text, or are dropped."""

import json
import unicodedata
from typing import Any

import pytest
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.httpxsession import HttpxSession

from asyncinvoke import (
    FunctionError,
    InvocationError,
    Invoker,
    Response,
    RetryPolicy,
    ThrottledError,
)
from tests.doubles.counting_server import Act, CountingServer
from tests.doubles.messages import answer, complete_frame, stream_answer
from tests.transport.variants import every_variant, of_its_own, on_trio, open_client

pytestmark = pytest.mark.anyio

NAMES = (
    b"x-amzn-RequestId",
    b"X-Amz-Executed-Version",
    b"X-Amz-Durable-Execution-Arn",
    b"X-Amz-Log-Result",
)


def answer_with(value: bytes, status: int, *names: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d Whatever" % status, b"Content-Length: 2"]
    lines += [b"%b: %b" % (name, value) for name in names]
    return b"\r\n".join(lines) + b"\r\n\r\n{}"


def check_text(value: str | None) -> None:
    assert value is None or value.encode().decode() == value


async def result_of(
    sent: bytes, variant: str, config: Any = None, **options: Any
) -> Response | InvocationError:
    with CountingServer(default=Act(sent=sent)) as server:
        async with (
            open_client(server.url, variant, config=config or {}) as client,
            Invoker(client, transport="client" if variant == "client" else "direct") as invoker,
        ):
            try:
                return await invoker.invoke("f", retry=RetryPolicy.never(), **options)
            except InvocationError as error:
                return error


@every_variant
@pytest.mark.parametrize("value", [b"caf\xc3\xa9 \xe2\x82 \xff\xfe \xed\xa0\x80"])
async def test_a_header_that_is_not_text_is_made_printable(value: bytes, variant: str) -> None:
    response = await result_of(answer_with(value, 200, *NAMES), variant)
    assert isinstance(response, Response)
    for text in (
        response.request_id,
        response.executed_version,
        response.durable_execution_arn,
        response.log_result,
        response.attempts[0].request_id,
    ):
        assert text
        check_text(text)
    check_text(repr(response))
    failed = await result_of(
        answer_with(value, 200, *NAMES, b"X-Amz-Function-Error"),
        variant,
        raise_on_function_error=False,
    )
    assert isinstance(failed, Response)
    assert failed.function_error
    check_text(failed.function_error)
    refused = await result_of(answer_with(value, 404, *NAMES, b"x-amzn-ErrorType"), variant)
    assert isinstance(refused, InvocationError)
    assert refused.request_id
    check_text(str(refused))


@every_variant
async def test_a_header_that_is_not_text_hides_no_answer_from_a_library(variant: str) -> None:
    config = {"http_session_cls": of_its_own(HttpxSession if on_trio() else AIOHTTPSession)}
    response = await result_of(answer_with(b"caf\xe9", 200, b"Via"), variant, config)
    assert isinstance(response, Response)
    assert response.payload == b"{}"
    refused = await result_of(answer_with(b"caf\xe9", 429, b"Via"), variant, config)
    assert isinstance(refused, ThrottledError)


@every_variant
async def test_a_header_without_a_value_is_ignored(variant: str) -> None:
    response = await result_of(answer_with(b"", 200, *NAMES, b"X-Amz-Function-Error"), variant)
    assert isinstance(response, Response)
    assert (response.request_id, response.executed_version) == (None, None)
    assert (response.durable_execution_arn, response.function_error) == (None, None)
    refused = await result_of(answer_with(b"", 404, *NAMES), variant)
    assert refused.request_id is None
    assert "request id" not in str(refused)


@every_variant
async def test_the_head_of_a_stream_is_text_too(variant: str) -> None:
    head, _, body = stream_answer(complete_frame()).partition(b"\r\n\r\n")
    odd = b"".join(b"\r\n%b: \xff" % name for name in (*NAMES[1:], b"x-amzn-RequestId"))
    lines = [line for line in head.split(b"\r\n") if b"requestid" not in line.lower()]
    sent = b"\r\n".join(lines) + odd + b"\r\n\r\n" + body
    with CountingServer(default=Act(sent=sent)) as server:
        async with (
            open_client(server.url, variant) as client,
            Invoker(client, transport="client" if variant == "client" else "direct") as invoker,
            invoker.stream("f") as stream,
        ):
            assert [chunk async for chunk in stream] == []
            for text in (stream.request_id, stream.executed_version):
                assert text
                check_text(text)


ODD_TEXTS = [
    "one\ntwo\r\nthree",
    "\x1b[2J\x1b[31mred\x07\x00",
    "\x9b31m\u202eevil\u2069\u2028",
    "caf\udce9 \ud800",
    "x" * 100_000,
]


@pytest.mark.parametrize("text", ODD_TEXTS, ids=ascii)
async def test_an_error_is_one_line_that_a_terminal_and_a_file_take_whatever_is_in_it(
    text: str,
) -> None:
    failed = json.dumps({"errorType": text, "errorMessage": text, "stackTrace": [text]}).encode()
    refused = json.dumps({"message": text}).encode()
    for sent in (
        answer(200, failed, {"X-Amz-Function-Error": "Unhandled"}),
        answer(200, failed, {"X-Amz-Function-Error": "U" * 9000}),
        answer(404, refused, {"x-amzn-ErrorType": "ResourceNotFoundException"}),
        answer(500, refused, {"x-amzn-RequestId": "r" * 9000}),
    ):
        error = await result_of(sent, "direct")
        assert isinstance(error, InvocationError)
        assert not set(map(unicodedata.category, str(error))) & {"Cc", "Cs", "Zl", "Zp"}
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in str(error)
        assert len(str(error)) < 1000
        if isinstance(error, FunctionError):
            for part in (error.error_type, error.error_message, *error.stack_trace):
                check_text(part)


async def test_a_header_that_cannot_be_written_is_not_sent_and_is_a_failure() -> None:
    """httpx reports a protocol error, as for an answer that cannot be parsed."""

    def put_in(request: Any, **_: object) -> None:
        request.headers["X-Note"] = "one\r\nX-Evil: two"

    with CountingServer() as server:
        async with open_client(server.url, "direct") as client:
            client.meta.events.register("before-send.lambda", put_in)
            async with Invoker(client) as invoker:
                with pytest.raises(InvocationError) as raised:
                    await invoker.invoke("f", retry=RetryPolicy.never())
        server.close()
        assert server.begun == 0
    assert raised.value.delivery == "not_sent"
    assert json.loads(json.dumps(raised.value.code)) != "InvalidAnswer"
