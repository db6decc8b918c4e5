"""TLS on trio, record by record."""

import contextlib
import socket
import ssl
from pathlib import Path

import pytest

from asyncinvoke._transport.http.trio_stream import TlsStream

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


async def test_what_a_record_held_is_received_although_the_next_in_the_same_read_is_broken(
    certificate: tuple[Path, Path],
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = trusting.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    for _ in range(3):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
            to_server.write(outgoing.read())
            incoming.write(to_client.read())
    near, far = socket.socketpair()
    near.setblocking(False)
    stream = TlsStream(near, client, incoming, outgoing)
    try:
        server.write(b"good")
        good = to_client.read()
        server.write(b"broken")
        broken = bytearray(to_client.read())
        broken[-1] ^= 1
        far.sendall(good + broken)
        assert await stream.receive() == b"good"
        assert not stream.is_quiet()
        with pytest.raises(ssl.SSLError):
            await stream.receive()
    finally:
        stream.close()
        far.close()
