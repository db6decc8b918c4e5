"""A peer whose certificate changes: each new connection verifies it."""

from pathlib import Path

import pytest

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.errors import WireError
from tests.doubles.certificates import Authority
from tests.transport.http.conftest import Network, request
from tests.transport.http.peers import OK, Peer, Wire

pytestmark = pytest.mark.anyio
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    trusted, other = (tmp_path_factory.mktemp(name) for name in ("trusted", "other"))
    return Authority(Path(trusted)), Authority(Path(other))


async def test_a_changed_certificate_is_verified_by_the_next_connection(
    authorities: tuple[Authority, Authority],
) -> None:
    trusted, other = authorities
    first, renewed, unknown = trusted.issue("first"), trusted.issue("renewed"), other.issue("else")
    context = first.server_context()
    answers = [OK, LAST, OK, OK, LAST, OK]

    def script(wire: Wire) -> None:
        while True:
            wire.request()
            wire.send(answers.pop(0))

    network = Network("https", (trusted.bundle, trusted.bundle))
    with Peer(script, tls=context) as peer:
        async with network.connections(peer) as connections:

            async def exchange() -> int:
                status = (await connections.exchange(*request(), Progress())).status
                assert status == 200
                return peer.connections

            assert await exchange() == 1
            context.load_cert_chain(renewed.certificate, renewed.key)
            assert await exchange() == 1
            assert await exchange() == 2
            context.load_cert_chain(unknown.certificate, unknown.key)
            # Connections to a peer that was verified before stay valid.
            assert await exchange() == 2
            assert await exchange() == 2
            with pytest.raises(WireError) as raised:
                await exchange()
            assert raised.value.fault is TransportFault.TLS
            assert raised.value.phase is Phase.CONNECTING
            assert connections.open == 0
            context.load_cert_chain(renewed.certificate, renewed.key)
            assert await exchange() == 4
    assert answers == []
