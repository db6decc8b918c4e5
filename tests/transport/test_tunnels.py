"""A proxy whose tunnels fail: no connection is leaked, and later ones are made."""

import contextlib
import socket
import ssl
from functools import partial
from pathlib import Path

import anyio
import pytest
from aiobotocore.config import AioConfig

from asyncinvoke import Response
from tests.attack.invokers import invoked, open_invoker
from tests.doubles.certificates import make_certificate
from tests.doubles.waiting import until
from tests.transport.http.peers import OK, EndError, Peer, Wire, answering

pytestmark = pytest.mark.anyio
LIMIT = 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def tunnel(wire: Wire, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as far:
        wire.peer.start(partial(pump, wire.socket, far))
        pump(far, wire.socket)


@pytest.mark.parametrize("end", ["stalls", "talks no TLS"])
async def test_tunnels_that_come_to_nothing_take_no_place_from_later_ones(
    end: str,
    transport: str,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[0]))
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(*certificate)
    greeted: list[int] = []
    ended: list[int] = []

    def script(wire: Wire) -> None:
        while b"\r\n\r\n" not in wire.received:
            wire.received += wire.receive(1)
        wire.received.clear()
        wire.send(b"HTTP/1.1 200 Connected\r\n\r\n")
        if wire.number > 2 * LIMIT:
            return tunnel(wire, far.port)
        wire.receive(1)  # of the TLS ClientHello
        greeted.append(wire.number)
        if end != "stalls":
            wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with contextlib.suppress(EndError):
            wire.wait_end()
        ended.append(wire.number)
        return None

    with Peer(answering(OK), tls=theirs) as far, Peer(script) as proxy:
        config = AioConfig(proxies={"https": f"http://127.0.0.1:{proxy.port}"})
        url = f"https://127.0.0.1:{far.port}"
        options = {"config": config, "transport": transport, "limit": LIMIT}
        async with open_invoker(url, **options) as invoker:
            for number in range(1, 2 * LIMIT + 1):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(invoked, invoker)
                    await until(partial(greeted.__contains__, number))
                    if end == "stalls":
                        tasks.cancel_scope.cancel()
                await until(partial(ended.__contains__, number))
            with anyio.fail_after(60):
                assert isinstance(await invoked(invoker), Response)
    assert far.connections == 1
