"""TCP keep-alive: the option names of every platform, on all connections of an invoker's client."""

import socket

import pytest

from asyncinvoke._transport.http_sessions import keepalive_options, keepalive_socket

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
