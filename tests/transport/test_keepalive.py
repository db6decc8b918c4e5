"""Dead peers are noticed by an invoker's client, unless its configuration disables keep-alive."""

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiobotocore.config import AioConfig

from asyncinvoke import Invoker
from tests.doubles.fault_endpoint import FaultEndpoint

pytestmark = pytest.mark.anyio

OPTIONS = {"keepalive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE)}
if hasattr(socket, "TCP_USER_TIMEOUT"):
    OPTIONS["timeout"] = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


@contextlib.asynccontextmanager
async def set_options(
    monkeypatch: pytest.MonkeyPatch, wanted: tuple[int, int]
) -> AsyncIterator[list[int]]:
    """The values of a socket option that were set on sockets of this process."""
    found: list[int] = []
    setsockopt = socket.socket.setsockopt

    def note(made: socket.socket, level: int, option: int, *value: Any) -> None:
        if (level, option) == wanted:
            found.append(value[0])
        setsockopt(made, level, option, *value)

    monkeypatch.setattr(socket.socket, "setsockopt", note)
    yield found


@pytest.mark.parametrize("transport", ["direct", "client"])
@pytest.mark.parametrize(
    ("given", "is_on"),
    [({}, True), ({"tcp_keepalive": True}, True), ({"tcp_keepalive": False}, False)],
    ids=["unset", "on", "off"],
)
@pytest.mark.parametrize("option", OPTIONS)
async def test_keepalive_is_as_the_config_says(
    option: str, given: dict[str, Any], is_on: bool, transport: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultEndpoint() as endpoint, set_options(monkeypatch, OPTIONS[option]) as found:
        async with Invoker(
            endpoint_url=endpoint.url, config=AioConfig(**given), transport=transport
        ) as invoker:
            await invoker.invoke("f")
        assert any(found) is is_on
