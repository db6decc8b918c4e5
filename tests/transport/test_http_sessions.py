"""The SDK's HTTP sessions: TCP keep-alive on every platform, and connections that have ended."""

import socket
from pathlib import Path

import anyio
import pytest
from aiohttp import ClientSession

from asyncinvoke._transport.aiohttp_client import SingleDeliveries
from asyncinvoke._transport.http_sessions import keepalive_options, keepalive_socket
from tests.doubles.certificates import Authority
from tests.doubles.counting_server import CountingServer

TCP = socket.IPPROTO_TCP


def test_the_time_until_the_first_probe_has_another_name_on_macos(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("TCP_KEEPIDLE", "TCP_KEEPALIVE"):
        monkeypatch.delattr(socket, name, raising=False)
    on_neither = keepalive_options()
    monkeypatch.setattr(socket, "TCP_KEEPALIVE", 0x10, raising=False)
    on_macos = keepalive_options()
    monkeypatch.setattr(socket, "TCP_KEEPIDLE", 0x4, raising=False)
    on_linux = keepalive_options()
    assert [*on_macos] == [on_neither[0], (TCP, 0x10, 60), *on_neither[1:]]
    assert [*on_linux] == [on_neither[0], (TCP, 0x4, 60), *on_neither[1:]]


def test_a_socket_is_made_with_them() -> None:
    address = socket.getaddrinfo("127.0.0.1", 9, type=socket.SOCK_STREAM)[0]
    with keepalive_socket(address) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for level, option, value in keepalive_options()[1:]:
            assert made.getsockopt(level, option) == value


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})])
async def test_a_tls_connection_that_was_lost_a_moment_ago_does_not_break_the_next_request(
    tmp_path: Path,
) -> None:
    identity = Authority(tmp_path).issue("server")
    async with ClientSession() as unwrapped:
        session = SingleDeliveries(unwrapped)
        with CountingServer(tls=identity.server_context()) as server:
            answered = await session.request("GET", server.url, ssl=False)
            await answered.read()
            ((idle, _),) = next(iter(unwrapped.connector._conns.values()))  # type: ignore[union-attr]
            transport = idle.transport
            assert transport is not None
            transport.abort()
            while transport.get_extra_info("socket") is not None:
                await anyio.sleep(0)
            assert idle.transport is transport  # aiohttp does not know it yet
            answered = await session.request("GET", server.url, ssl=False)
            assert answered.status == 200
            await answered.read()
