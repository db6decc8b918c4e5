"""Requests as different HTTP clients send them, over raw sockets, for both operations."""

import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from anyio import to_thread
from botocore.eventstream import EventStreamBuffer

from asyncinvoke.local import LocalLambda
from tests.doubles.handlers import echo
from tests.doubles.sockets import SIGNATURE
from tests.vectors.raw import RawAnswer, converse, exchange, invoke_path, request

pytestmark = pytest.mark.anyio

Send = Callable[..., Awaitable[list[RawAnswer]]]


@pytest.fixture(autouse=True)
def functions(local: LocalLambda) -> None:
    async def pause(event: Any, context: Any) -> Any:
        await anyio.sleep(0.2)
        return event

    local.function("echo", echo)
    local.function("pause", pause)


@pytest.fixture(params=[False, True], ids=["invoke", "stream"])
def streams(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def path(streams: bool) -> str:
    return invoke_path("echo", streams=streams)


@pytest.fixture
def send(local: LocalLambda) -> Send:
    """Send bytes in one write, and return a number of answers."""

    async def send(sent: bytes, answers: int = 1) -> list[RawAnswer]:
        return await to_thread.run_sync(partial(exchange, local.url, sent, answers))

    return send


@pytest.fixture
def talk(local: LocalLambda) -> Send:
    """Send parts, each after the answer to the one before."""

    async def talk(*parts: bytes) -> list[RawAnswer]:
        return await to_thread.run_sync(partial(converse, local.url, *parts))

    return talk


def response_of(answer: RawAnswer) -> bytes:
    """Return the function's response, decoded from frames if it was streamed."""
    assert answer.status == 200
    if dict(answer.headers)["Content-Type"] == "application/json":
        return answer.body
    buffer = EventStreamBuffer()
    buffer.add_data(answer.body)
    chunk, end = buffer
    assert end.headers[":event-type"] == "InvokeComplete"
    payload: bytes = chunk.payload
    return payload


async def test_an_absolute_target_is_understood(local: LocalLambda, send: Send, path: str) -> None:
    target = f"{local.url}{path}?Qualifier=%24LATEST"
    (answer,) = await send(request("POST", target, b"1"))
    assert response_of(answer) == b"1"


@pytest.mark.parametrize(
    "name",
    [
        "123456789012%3Afunction%3Aecho%3A%24LATEST",
        "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Aecho",
        "arn:aws:lambda:us-east-1:123456789012:function:echo:$LATEST",
        "%65cho",
    ],
)
@pytest.mark.parametrize("query", ["", "?Qualifier=%24LATEST", "?Qualifier=$LATEST"])
async def test_names_and_qualifiers_are_decoded_if_they_are_encoded(
    send: Send, path: str, name: str, query: str
) -> None:
    (answer,) = await send(request("POST", path.replace("echo", name) + query, b"1"))
    assert response_of(answer) == b"1"


async def test_headers_are_known_however_they_are_spelled(send: Send, path: str) -> None:
    for spelled in ("X-Amz-Invocation-Type", "x-amz-invocation-type", "X-AMZ-INVOCATION-TYPE"):
        (answer,) = await send(request("POST", path, b"1", {spelled: "DryRun"}))
        assert answer.status == 204


async def test_neither_a_body_nor_a_length_is_needed(send: Send, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {SIGNATURE}\r\n\r\n".encode()
    for answer in await send(head * 2, 2):
        assert response_of(answer) == b"{}"


async def test_chunked_bodies_are_read(send: Send, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {SIGNATURE}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    whole = head + b"2\r\n[1\r\n3;extension=1\r\n,2]\r\n0\r\n\r\n"
    for answer in await send(whole * 2, 2):
        assert response_of(answer) == b"[1, 2]"


async def test_a_client_that_expects_100_continue_gets_it(talk: Send, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {SIGNATURE}\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    told, answer = await talk(head.encode(), b"1")
    assert (told.status, told.headers) == (100, [])
    assert response_of(answer) == b"1"


async def test_a_client_that_does_not_wait_for_100_continue_is_answered_too(
    send: Send, path: str
) -> None:
    told, answer = await send(request("POST", path, b"1", {"Expect": "100-continue"}), 2)
    assert told.status == 100
    assert response_of(answer) == b"1"


@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/plain", "x", "", None])
async def test_any_content_type_and_none_are_accepted(
    send: Send, path: str, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    (answer,) = await send(request("POST", path, b"1", headers))
    assert response_of(answer) == b"1"


async def test_a_connection_takes_one_call_after_the_other(
    local: LocalLambda, talk: Send, path: str
) -> None:
    answers = await talk(*[request("POST", path, str(number).encode()) for number in range(3)])
    assert [response_of(answer) for answer in answers] == [b"0", b"1", b"2"]
    assert {dict(answer.headers)["Connection"] for answer in answers} == {"keep-alive"}
    assert local.statistics().invocations == 3


async def test_calls_that_come_in_one_write_are_answered_in_their_order(
    local: LocalLambda, send: Send
) -> None:
    # Each kind precedes each other, and a slow one precedes all.
    kinds = [("pause", False), ("echo", True), ("echo", False), ("pause", True), ("nope", True)] * 2
    calls = [
        request("POST", invoke_path(name, streams=streams), str(number).encode())
        for number, (name, streams) in enumerate(kinds)
    ]
    answers = await send(b"".join(calls), len(calls))
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 404] * 2
    answered = [response_of(answer) for answer in answers if answer.status == 200]
    assert answered == [b"0", b"1", b"2", b"3", b"5", b"6", b"7", b"8"]
    assert local.statistics().invocations == len(calls)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_client_that_sends_connection_close_is_not_offered_keep_alive(
    local: LocalLambda, path: str, version: str
) -> None:
    head = f"POST {path} HTTP/{version}\r\nHost: localhost\r\nAuthorization: {SIGNATURE}\r\nConnection: close\r\n\r\n".encode()
    place = urlsplit(local.url)

    def until_closed() -> bytes:
        with socket.create_connection((place.hostname or "", place.port or 0), 10) as connection:
            connection.sendall(head)
            return connection.makefile("rb").read()

    answer = await to_thread.run_sync(until_closed)
    assert answer.startswith(b"HTTP/%b 200 OK\r\n" % version.encode())
    assert b"keep-alive" not in answer


@pytest.mark.parametrize(
    "half",
    [b"Content-Length: 9\r\n\r\n[1", b"Transfer-Encoding: chunked\r\n\r\n2\r\n[1"],
)
async def test_a_client_that_disconnects_within_its_body_is_no_delivery_and_logs_nothing(
    local: LocalLambda, send: Send, path: str, caplog: pytest.LogCaptureFixture, half: bytes
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {SIGNATURE}\r\n".encode()
    place = urlsplit(local.url)
    with socket.create_connection((place.hostname or "", place.port or 0), 10) as connection:
        await to_thread.run_sync(connection.sendall, head + half)
    await send(head + b"Content-Length: 0\r\n\r\n")
    assert local.statistics().invocations == 1
    assert caplog.records == []
