"""Slow, silent and too many connections, over real sockets."""

import asyncio
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from aiohttp import web
from anyio import to_thread

from asyncinvoke.local.http.listener import BACKLOG, Limits, listen, open_socket, read_body
from tests.doubles.waiting import LONGER

pytestmark = pytest.mark.anyio

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
SHORT = Limits(silence=0.1, body=0.3, lingering=0.1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def answer(request: web.BaseRequest) -> web.Response:
    body, _ = await read_body(request, 1000, limits=SHORT)
    return web.Response(body=body)


def received(
    port: int, sent: bytes, *, then: Callable[[socket.socket], None] = lambda _: None
) -> bytes:
    """Send something, and read until the other end ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        try:
            connection.sendall(sent)
            then(connection)
            return connection.makefile("rb").read()
        except ConnectionError:  # data sent meanwhile is no longer read
            return b""


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"P",
        HEAD,
        HEAD + b"X-Slow: ",
        HEAD + b"Content-Length: 9\r\n\r\n1",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n",
    ],
)
async def test_a_connection_that_falls_silent_is_ended(sent: bytes) -> None:
    async with listen(answer, open_socket(), limits=SHORT) as port:
        got = await to_thread.run_sync(received, port, sent)
    assert got == b"" or got.startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_comes_byte_by_byte_is_ended_too() -> None:
    def drip(connection: socket.socket) -> None:
        connection.settimeout(0.01)
        while True:
            try:
                connection.sendall(b"1\r\n1\r\n")
                if connection.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                continue
        connection.settimeout(60)

    sent = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    async with listen(answer, open_socket(), limits=SHORT) as port:
        got = await to_thread.run_sync(lambda: received(port, sent, then=drip))
    assert got == b"" or got.startswith(b"HTTP/1.1 408 ")


async def test_an_idle_connection_is_ended_after_its_answer() -> None:
    for silence in LONGER:
        limits = Limits(silence=silence, body=silence, lingering=0.1)
        async with listen(answer, open_socket(), limits=limits) as port:
            got = await to_thread.run_sync(received, port, HEAD + b"Content-Length: 1\r\n\r\n1")
        if got:  # a busy machine may be silent, too
            break
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"\r\n\r\n1")


async def test_one_connection_too_many_is_ended_at_once_and_the_others_are_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def ask(connection: socket.socket) -> bytes:
        connection.sendall(HEAD + b"Content-Length: 1\r\n\r\n1")
        return connection.recv(65_536)

    async with listen(answer, open_socket(), limits=Limits(connections=2)) as port:

        def connect() -> socket.socket:
            return socket.create_connection(("127.0.0.1", port), timeout=60)

        with connect() as first, connect() as second:
            for connection in (first, second):
                got = await to_thread.run_sync(ask, connection)
                assert got.startswith(b"HTTP/1.1 200 ")
            for _ in range(2):
                assert await to_thread.run_sync(received, port, b"") == b""
            assert (await to_thread.run_sync(ask, first)).startswith(b"HTTP/1.1 200 ")
    assert caplog.messages == ["closed a connection: 2 are open, as many as it takes"]


async def test_without_a_file_for_a_connection_it_is_said_once_and_the_connection_served_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_exception_handler", lambda about: said.append(about["message"]))
    resource = pytest.importorskip("resource")
    monkeypatch.setattr("asyncio.constants.ACCEPT_RETRY_DELAY", 0.01)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as client:
        async with listen(answer, open_socket(), limits=SHORT) as port:
            free = os.open(os.devnull, os.O_RDONLY)
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
            try:
                client.connect(("127.0.0.1", port))  # the system accepts it
                with anyio.fail_after(60):
                    while not said:
                        await anyio.sleep(0)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            assert len(said) <= 2  # later versions of Python try once more
            client.sendall(HEAD + b"Connection: close\r\n\r\n")
            client.settimeout(60)
            assert (await to_thread.run_sync(client.recv, 1000)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.skipif(sys.platform != "linux", reason="looks in /proc")
async def test_connections_that_wait_to_be_accepted_are_as_many_as_before() -> None:
    with open_socket() as sock:
        async with listen(answer, sock, limits=SHORT):
            sock.listen(1)  # as asyncio does when it begins again
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
            most = int(Path("/proc/sys/net/core/somaxconn").read_text("utf-8"))
    # Of a listening socket, `tcpi_sacked` is its backlog.
    assert struct.unpack_from("=I", info, 28)[0] == min(BACKLOG, most)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        HEAD + b"X: " + b"x" * 99_999 + b"\r\n\r\n",
    ],
    ids=["TLS", "no target", "a long header"],
)
async def test_an_invalid_request_gets_a_400_and_prints_nothing(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with listen(answer, open_socket()) as port:
        got = await to_thread.run_sync(received, port, sent)
    assert b" 400 " in got.splitlines()[0]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
async def test_a_body_with_a_wrong_encoding_gets_a_400_and_prints_nothing(
    coding: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sent = HEAD + b"Content-Encoding: " + coding + b"\r\nContent-Length: 4\r\n\r\nnope"
    async with listen(answer, open_socket()) as port:
        got = await to_thread.run_sync(received, port, sent)
    assert b" 400 " in got.splitlines()[0]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
