"""An answer that only the end of a TLS connection delimits needs a close_notify."""

import contextlib
import ssl

import pytest

from asyncinvoke import Delivery, InvocationError, Response, TransportError
from tests.doubles.counting_server import Act, CountingServer, Ending
from tests.doubles.messages import Received, answer

from .conftest import LOOPS
from .faults import Environment
from .invokers import invoked, open_invoker

pytestmark = pytest.mark.anyio

UNTIL_THE_END = b"HTTP/1.1 %d Whatever\r\nX-Amz-Executed-Version: 1\r\n\r\n[1, 2"
"""An answer without a length, which may go on with `, 3]`."""


class CloseNotifyServer(CountingServer):
    """Sends close_notify before it closes, if `sends_close_notify` is set."""

    sends_close_notify = True

    def _play(self, act: Act, request: Received, connection: object) -> bool:
        assert isinstance(connection, ssl.SSLSocket)
        if not (self.sends_close_notify and act.then == "close"):
            return super()._play(act, request, connection)
        connection.sendall(act.sent if isinstance(act.sent, bytes) else act.sent(request))
        # The client may have left, or this server be closing, before close_notify is sent.
        with contextlib.suppress(OSError, ValueError):
            connection.unwrap()
        return False


@pytest.fixture(params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


async def result_of(
    sent: bytes,
    environment: Environment,
    *,
    sends_close_notify: bool,
    transport: str,
    then: Ending = "close",
) -> Response | InvocationError:
    environment.monkeypatch.setenv("AWS_CA_BUNDLE", str(environment.authority.bundle))
    act = Act(sent=sent, then=then)
    with CloseNotifyServer(default=act, tls=environment.identity.server_context()) as server:
        server.sends_close_notify = sends_close_notify
        async with open_invoker(server.url, transport=transport) as invoker:
            return await invoked(invoker, 1)


@pytest.mark.parametrize("transport", ["direct", "client"])
async def test_an_answer_without_a_length_is_complete_only_after_close_notify(
    transport: str, environment: Environment
) -> None:
    sent = UNTIL_THE_END % 200
    complete = await result_of(sent, environment, sends_close_notify=True, transport=transport)
    assert isinstance(complete, Response)
    assert complete.payload == b"[1, 2"
    cut = await result_of(sent, environment, sends_close_notify=False, transport=transport)
    assert isinstance(cut, TransportError)
    assert (cut.code, cut.delivery) == ("TruncatedBody", Delivery.UNKNOWN)


@pytest.mark.parametrize("sends_close_notify", [True, False])
async def test_an_answer_with_a_length_needs_no_close_notify(
    sends_close_notify: bool, environment: Environment
) -> None:
    sent = answer(200, b"[1, 2]")
    ended = await result_of(
        sent, environment, sends_close_notify=sends_close_notify, transport="direct"
    )
    assert isinstance(ended, Response)
    refused = await result_of(
        UNTIL_THE_END % 404, environment, sends_close_notify=sends_close_notify, transport="direct"
    )
    assert (refused.status_code, refused.code) == (404, "404")  # type: ignore[union-attr]  # else it fails
