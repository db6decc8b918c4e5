"""What a probe reports about the connection to an endpoint, and about failures to connect."""

from typing import Any

import anyio
import pytest
from botocore import UNSIGNED

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._request.parameters import checked
from asyncinvoke._transport import probe as probing
from asyncinvoke._transport.http.errors import NotOursError
from asyncinvoke._transport.probe import Observed, probe, why_not_direct
from asyncinvoke._transport.template import UnsuitableError
from asyncinvoke._transport.wires import Wires
from tests.doubles.addresses import refused_port
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.transport.http.peers import Peer, Wire
from tests.transport.variants import open_client

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


async def test_a_port_that_refuses_is_reported_in_plain_words() -> None:
    url = f"http://127.0.0.1:{refused_port()}"
    async with open_client(url, "direct") as client:
        seen = await probe(client, timeout=60)
    assert isinstance(seen, Failure)
    assert seen.message == f"{url} refuses connections"


@pytest.mark.parametrize(
    ("phase", "fault"),
    [
        (Phase.CONNECTING, TransportFault.CONNECT_TIMEOUT),
        (Phase.WRITTEN, TransportFault.READ_TIMEOUT),
    ],
)
async def test_a_timeout_is_reported_with_its_phase(
    phase: Phase, fault: TransportFault, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck(wires: Wires, url: str, progress: Progress) -> None:
        progress.phase = phase
        await anyio.sleep_forever()

    monkeypatch.setattr(probing, "_seen", stuck)
    async with open_client("http://127.0.0.1:9", "direct") as client:
        seen = await probe(client, timeout=0.01)
    assert isinstance(seen, Failure)
    assert (seen.fault, seen.phase, seen.message) == (fault, phase, "nothing within 0.01 s")


async def test_if_own_connections_are_unavailable_the_session_is_probed_and_the_reason_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refused(progress: Progress) -> None:
        raise NotOursError("a test")

    async with FaultEndpoint() as endpoint, open_client(endpoint.url, "direct") as client:
        ours = await probe(client, timeout=60)
        monkeypatch.setattr(Wires, "opener", lambda self, origin: refused)
        seen = await probe(client, timeout=60)
    assert isinstance(ours, Observed)
    assert isinstance(seen, Observed)
    assert (ours.session, seen.session) == (None, "a test")
    assert ours.status == seen.status


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        (None, None),
        ("junk", None),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 10.5),  # half a second: it is without its fraction
        ("Thu, 01 Jan 1970 00:00:10 -0000", 10.5),  # of no zone, as Python reads it
        ("Thu, 01 Jan 1970 01:00:10 +0100", 10.5),
    ],
)
async def test_the_clock_of_the_service_is_that_of_its_date(
    date: str | None, ahead: float | None
) -> None:
    assert probing._ahead({} if date is None else {"date": date}, 0.0) == ahead


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (AttributeError("_x"), "aiobotocore has changed inside: _x"),
        (UnsuitableError("a header occurs twice"), "a header occurs twice"),
        (OSError(5, "Input/output error"), "OSError: [Errno 5] Input/output error"),
    ],
)
async def test_a_template_that_cannot_be_made_is_why_calls_do_not_go_directly(
    error: Exception, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def make(*_: Any) -> None:
        raise error

    async with open_client("http://127.0.0.1:9", "direct") as client:
        assert await why_not_direct(client, checked("f")) is None
        monkeypatch.setattr(probing, "make_template", make)
        assert await why_not_direct(client, checked("f")) == why
    config = {"signature_version": UNSIGNED}
    async with open_client("http://127.0.0.1:9", "direct", config=config) as client:
        assert await why_not_direct(client, checked("f")) == "the client sends unsigned requests"
