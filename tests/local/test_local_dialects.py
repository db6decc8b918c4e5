"""What different HTTP clients send for the same call, on raw sockets."""

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from anyio import to_thread

from asyncinvoke.local import LocalLambda

pytestmark = pytest.mark.anyio

PATH = "/2015-03-31/functions/echo/invocations"


@pytest.fixture(autouse=True)
def functions(local: LocalLambda) -> None:
    async def echo(event: Any, context: Any) -> Any:
        return event

    local.function("echo", echo)


@pytest.fixture
def talk(local: LocalLambda) -> Any:
    """Send parts, each but the first once an answer has come, and give all answers."""

    def exchange(parts: tuple[bytes, ...]) -> list[bytes]:
        place = urlsplit(local.url)
        with socket.create_connection((place.hostname or "", place.port or 0), 10) as connection:
            received = []
            for part in parts:
                connection.sendall(part)
                received.append(connection.recv(65_536))
            return received

    async def talk(*parts: bytes) -> list[bytes]:
        return await to_thread.run_sync(exchange, parts)

    return talk


async def test_an_absolute_target_is_understood(local: LocalLambda, talk: Any) -> None:
    head = (
        f"POST {local.url}{PATH}?Qualifier=%24LATEST HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
    )
    (answer,) = await talk(head.encode() + b"\r\n1")
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_encoded_names_are_decoded(talk: Any) -> None:
    path = PATH.replace("echo", "123456789012%3Afunction%3Aecho%3A%24LATEST")
    (answer,) = await talk(
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1".encode()
    )
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_chunked_bodies_are_read(talk: Any) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    (answer,) = await talk(head + b"2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n[1, 2]")


async def test_a_client_that_expects_100_continue_is_told_to(talk: Any) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    told, answer = await talk(head.encode(), b"1")
    assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/plain", "x", ""])
async def test_any_content_type_will_do(talk: Any, content_type: str) -> None:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: 1\r\n"
    )
    (answer,) = await talk(head.encode() + b"\r\n1")
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_connection_takes_one_call_after_the_other(local: LocalLambda, talk: Any) -> None:
    call = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
    answers = await talk(call, call, call)
    assert [answer.split()[1] for answer in answers] == [b"200"] * 3
    assert local.statistics().invocations == 3


@pytest.mark.parametrize(
    "half",
    [b"Content-Length: 9\r\n\r\n[1", b"Transfer-Encoding: chunked\r\n\r\n2\r\n[1"],
)
async def test_a_client_that_leaves_within_its_body_is_no_delivery_and_no_noise(
    local: LocalLambda, talk: Any, caplog: pytest.LogCaptureFixture, half: bytes
) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n".encode()
    place = urlsplit(local.url)
    with socket.create_connection((place.hostname or "", place.port or 0), 10) as connection:
        await to_thread.run_sync(connection.sendall, head + half)
    await talk(head + b"Content-Length: 0\r\n\r\n")
    assert local.statistics().invocations == 1
    assert caplog.records == []
