"""TLS's farewell: where only the end of a connection ends an answer, it has to be said."""

import contextlib
import ssl

import pytest

from asyncinvoke import Delivery, InvocationError, Response, TransportError
from tests.doubles.counting_server import Act, CountingServer, Ending
from tests.doubles.messages import Received, answer

from .conftest import LOOPS
from .faults import Stage
from .invokers import invoked, open_invoker

pytestmark = pytest.mark.anyio

UNTIL_THE_END = b"HTTP/1.1 %d Whatever\r\nX-Amz-Executed-Version: 1\r\n\r\n[1, 2"
"""An answer without a length, which may go on with `, 3]`."""


class PoliteServer(CountingServer):
    """Says farewell before it closes, if it is polite."""

    is_polite = True

    def _play(self, act: Act, request: Received, connection: object) -> bool:
        assert isinstance(connection, ssl.SSLSocket)
        if not (self.is_polite and act.then == "close"):
            return super()._play(act, request, connection)
        connection.sendall(act.sent if isinstance(act.sent, bytes) else act.sent(request))
        # A client that has read all may be gone, and this server be closing, before it is said.
        with contextlib.suppress(OSError, ValueError):
            connection.unwrap()
        return False


@pytest.fixture(params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


async def said_of(
    sent: bytes, stage: Stage, *, is_polite: bool, transport: str, then: Ending = "close"
) -> Response | InvocationError:
    stage.monkeypatch.setenv("AWS_CA_BUNDLE", str(stage.authority.bundle))
    act = Act(sent=sent, then=then)
    with PoliteServer(default=act, tls=stage.identity.server_context()) as server:
        server.is_polite = is_polite
        async with open_invoker(server.url, transport=transport) as invoker:
            return await invoked(invoker, 1)


@pytest.mark.parametrize("transport", ["direct", "client"])
async def test_an_answer_that_only_the_end_ends_is_whole_once_that_is_said(
    transport: str, stage: Stage
) -> None:
    sent = UNTIL_THE_END % 200
    polite = await said_of(sent, stage, is_polite=True, transport=transport)
    assert isinstance(polite, Response)
    assert polite.payload == b"[1, 2"
    cut = await said_of(sent, stage, is_polite=False, transport=transport)
    assert isinstance(cut, TransportError)
    assert (cut.code, cut.delivery) == ("TruncatedBody", Delivery.UNKNOWN)


@pytest.mark.parametrize("is_polite", [True, False])
async def test_nobody_who_says_how_long_an_answer_is_has_to_say_farewell(
    is_polite: bool, stage: Stage
) -> None:
    sent = answer(200, b"[1, 2]")
    ended = await said_of(sent, stage, is_polite=is_polite, transport="direct")
    assert isinstance(ended, Response)
    refused = await said_of(UNTIL_THE_END % 404, stage, is_polite=is_polite, transport="direct")
    assert (refused.status_code, refused.code) == (404, "404")  # type: ignore[union-attr]  # else it fails
