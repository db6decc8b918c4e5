"""A TLS handshake that is cancelled in a custom httpx session leaves no connection behind."""

import contextlib
import gc
from collections.abc import Iterator
from typing import Literal

import anyio
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpxsession import HttpxSession

from asyncinvoke import Invoker
from tests.attack.invokers import SESSION, invoked
from tests.doubles.waiting import until
from tests.transport.http.peers import EndError, Peer, Wire

pytestmark = pytest.mark.anyio


class OwnSession(HttpxSession):  # type: ignore[misc]  # aiobotocore is not typed
    """A custom class, so that requests go through it."""


@pytest.fixture
def _no_collection() -> Iterator[None]:
    """Disable the garbage collector, which would close leaked connections."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("through_proxy", [False, True])
@pytest.mark.usefixtures("_no_collection")
async def test_the_connection_of_a_cancelled_handshake_is_closed(
    through_proxy: bool, transport: Literal["direct", "client"]
) -> None:
    greeted: list[int] = []
    ended: list[int] = []

    def script(wire: Wire) -> None:
        if through_proxy:
            while b"\r\n\r\n" not in wire.received:
                wire.received += wire.receive(1)
            wire.received.clear()
            wire.send(b"HTTP/1.1 200 Connected\r\n\r\n")
        wire.receive(1)  # of the TLS ClientHello
        greeted.append(wire.number)
        with contextlib.suppress(EndError):
            wire.wait_end()
        ended.append(wire.number)

    with Peer(script) as peer:
        url = f"https://127.0.0.1:{peer.port}"
        proxies = {"https": f"http://127.0.0.1:{peer.port}"} if through_proxy else None
        config = AioConfig(
            retries={"total_max_attempts": 1}, http_session_cls=OwnSession, proxies=proxies
        )
        async with (
            SESSION.create_client("lambda", endpoint_url=url, config=config) as client,
            Invoker(client, transport=transport) as invoker,
        ):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(invoked, invoker)
                await until(lambda: greeted == [1])
                tasks.cancel_scope.cancel()
            await until(lambda: ended == [1])
