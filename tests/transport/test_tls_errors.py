"""TLS errors on an open connection: what aiobotocore's httpx session makes of them."""

import socket
import ssl
from pathlib import Path

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpxsession import HttpxSession
from aiobotocore.session import AioSession

from asyncinvoke import Delivery, Invoker, TransportError
from asyncinvoke.local.protocol.event_stream import payload_chunk
from tests.doubles.certificates import Authority
from tests.transport.http.peers import Peer, Script, Wire

pytestmark = pytest.mark.anyio

DAMAGED = b"\x17\x03\x03\x00\x40" + bytes(64)
"""A TLS record that nobody has encrypted."""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return ("asyncio", {"use_uvloop": request.param == "uvloop"})


def damaged_after(answer: bytes) -> Script:
    def script(wire: Wire) -> None:
        wire.request()
        if answer:
            wire.send(answer)
            wire.peer.answered.wait(60)
        socket.socket.sendall(wire.socket, DAMAGED)  # past the TLS of this socket
        wire.wait_end()

    return script


async def error_of(script: Script, directory: Path) -> TransportError:
    authority = Authority(directory)
    with Peer(script, tls=authority.issue("peer").server_context()) as peer:
        config = AioConfig(retries={"total_max_attempts": 1}, http_session_cls=HttpxSession)
        async with (
            AioSession().create_client(
                "lambda",
                region_name="eu-west-1",
                endpoint_url=f"https://127.0.0.1:{peer.port}",
                verify=str(authority.bundle),
                config=config,
            ) as client,
            Invoker(client, timeout=60) as invoker,
        ):
            with pytest.raises(TransportError) as caught:
                await read_stream(invoker, peer)
            return caught.value


async def read_stream(invoker: Invoker, peer: Peer) -> None:
    async with invoker.stream("f") as chunks:
        async for _ in chunks:
            peer.answered.set()


@pytest.mark.parametrize(
    ("answer", "code", "delivery"),
    [
        (b"", "ConnectionLost", Delivery.UNKNOWN),
        (HEAD + payload_chunk(b"abc"), "TruncatedBody", Delivery.EXECUTED),
    ],
)
async def test_a_tls_error_on_an_open_connection_of_httpx_is_named_as_what_it_is(
    answer: bytes, code: str, delivery: Delivery, tmp_path: Path
) -> None:
    error = await error_of(damaged_after(answer), tmp_path)
    assert (error.code, error.delivery) == (code, delivery)
    assert "DECRYPTION_FAILED_OR_BAD_RECORD_MAC" in str(error)
    assert isinstance(error.__cause__, ssl.SSLError)
