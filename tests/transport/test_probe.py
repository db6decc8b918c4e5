"""What a probe says of a way that does not lead there."""

import pytest

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._transport.probe import probe
from tests.doubles.addresses import refused_port
from tests.transport.http.peers import Peer, Wire
from tests.transport.ways import open_client

pytestmark = pytest.mark.anyio


def silent(wire: Wire) -> None:
    wire.wait_end()


async def test_a_connection_that_takes_longer_than_the_clients_own_time_is_not_the_probes() -> None:
    with Peer(silent) as peer:
        url = f"https://127.0.0.1:{peer.port}"
        async with open_client(url, "direct", config={"connect_timeout": 0.05}) as client:
            seen = await probe(client, timeout=60)
    assert isinstance(seen, Failure)
    assert (seen.fault, seen.phase) == (TransportFault.CONNECT_TIMEOUT, Phase.CONNECTING)
    assert "60" not in seen.message.replace(url, "")  # a port may be 60711


async def test_a_port_that_refuses_is_said_in_plain_words() -> None:
    url = f"http://127.0.0.1:{refused_port()}"
    async with open_client(url, "direct") as client:
        seen = await probe(client, timeout=60)
    assert isinstance(seen, Failure)
    assert seen.message == f"{url} refuses connections"
