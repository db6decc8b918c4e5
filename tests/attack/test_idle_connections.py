"""Connections that end, or receive bytes, while they are idle."""

import contextlib
from typing import Any

import anyio
import pytest
from aiobotocore.config import AioConfig

from asyncinvoke import FixedLimit, Invoker, Outcome, Response, TransportError
from tests.doubles.certificates import Authority, Identity
from tests.doubles.counting_server import ANSWER, CLOSE_AFTER, Act, CountingServer
from tests.doubles.messages import Received, answer
from tests.doubles.waiting import until

from .conftest import LOOPS
from .invokers import invoked, new_session, open_invoker

on_all_loops = pytest.mark.parametrize("anyio_backend", LOOPS)


class CloseAfterEveryFifthAnswer(CountingServer):
    """Closes the connection after every fifth answer, without announcing it.

    The FIN is in the packet of the answer, so a client that has read the answer can see the FIN:
    there is no race.
    """

    def __init__(self) -> None:
        super().__init__(
            default=lambda _: CLOSE_AFTER if (self.whole + 1) % 5 == 0 else ANSWER,
        )


@pytest.mark.anyio
@on_all_loops
@pytest.mark.parametrize(
    ("idempotent", "count"), [(False, 500), (True, 100)], ids=["once", "idempotent"]
)
async def test_a_server_that_closes_after_every_fifth_answer_costs_no_item(
    idempotent: bool, count: int, transport: str
) -> None:
    outcomes: list[Outcome] = []
    with CloseAfterEveryFifthAnswer() as server:
        async with (
            open_invoker(server.url, transport=transport, limit=FixedLimit(20)) as invoker,
            invoker.map("f", range(count), idempotent=idempotent) as run,
        ):
            async for outcome in run:
                outcomes.append(outcome)
    assert sorted(outcome.index for outcome in outcomes) == [*range(count)]
    lost = [outcome for outcome in outcomes if not outcome.ok]
    assert not lost, f"{len(lost)} of {count}, the first: {lost[0].error}"
    assert {len(outcome.attempts) for outcome in outcomes} == {1}
    assert server.bodies() == {b"%d" % number: 1 for number in range(count)}


async def together(invoker: Invoker, count: int) -> list[object]:
    """Invoke concurrently, and return the payloads or the errors."""
    ends: list[object] = []

    async def one(number: int) -> None:
        ended = await invoked(invoker, number)
        ends.append(ended.json() if isinstance(ended, Response) else ended)

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(one, number)
    return sorted(ends, key=str)


@pytest.mark.anyio
@on_all_loops
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_a_connection_closed_while_the_loop_was_blocked_is_not_used(
    tls: bool,
    transport: str,
    authority: Authority,
    identity: Identity,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.bundle))
    with CountingServer(tls=identity.server_context() if tls else None) as server:
        async with open_invoker(server.url, transport=transport) as invoker:
            assert await together(invoker, 3) == [0, 1, 2]
            await until(lambda: server.connections >= 1)
            # It returns when the server has closed, and blocks the event loop, which does not
            # notice that.
            assert server.close_idle() >= 1
            assert await together(invoker, 3) == [0, 1, 2]
            assert invoker.statistics().attempts == server.whole == 6


@pytest.mark.anyio
@on_all_loops
@pytest.mark.parametrize("noticed", [False, True], ids=["unnoticed", "noticed"])
async def test_a_connection_closed_while_idle_is_not_used(noticed: bool, transport: str) -> None:
    with CountingServer() as server:
        async with open_invoker(server.url, transport=transport) as invoker:
            for _ in range(5):
                ended = await invoked(invoker, 1)
                assert isinstance(ended, Response), ended
                assert len(ended.attempts) == 1
                server.close_idle()
                if noticed:
                    await anyio.sleep(0.01)
            assert server.whole == 5


@pytest.mark.anyio
@on_all_loops
@pytest.mark.parametrize("given", [False, True], ids=["its own client", "a caller's client"])
async def test_nor_is_one_of_the_sdk_s_http_session(given: bool, transport: str) -> None:
    """That session is used for a proxy without a tunnel, and while the HTTP library is traced."""
    with CountingServer() as proxy:
        async with contextlib.AsyncExitStack() as stack:
            options: dict[str, Any] = {
                "config": AioConfig(proxies={"http": proxy.url}),
                "region_name": "eu-west-1",
            }
            url = "http://lambda.test"
            if given:
                session = new_session(key="AKID", secret="secret")
                options["config"] = options["config"].merge(
                    AioConfig(retries={"total_max_attempts": 1})
                )
                made = session.create_client("lambda", endpoint_url=url, **options)
                options = {"endpoint_url": None, "client": await stack.enter_async_context(made)}
            invoker = await stack.enter_async_context(
                open_invoker(url, transport=transport, **options)
            )
            for _ in range(3):
                assert await together(invoker, 3) == [0, 1, 2]
                assert proxy.close_idle() >= 1
            assert proxy.whole == 9


FOREIGN = answer(200, b'"of somebody else"')


@pytest.mark.anyio
@on_all_loops
@pytest.mark.parametrize("noticed", [False, True], ids=["unnoticed", "noticed"])
async def test_an_unsolicited_answer_is_not_taken_for_another_call_s(
    noticed: bool, transport: str
) -> None:
    with CountingServer() as server:
        async with open_invoker(server.url, transport=transport) as invoker:
            for number in range(3):
                ended = await invoked(invoker, number)
                assert isinstance(ended, Response), ended
                assert ended.json() == number
                await until(lambda: server.send_on_idle(FOREIGN))
                if noticed:
                    await anyio.sleep(0.01)
            assert server.whole == 3


@pytest.mark.anyio
@on_all_loops
async def test_bytes_after_an_answer_are_not_taken_for_the_next_answer(transport: str) -> None:
    def twice(request: Received) -> bytes:
        return answer(200, request.body) + FOREIGN

    with CountingServer(default=Act(sent=twice)) as server:
        async with open_invoker(server.url, transport=transport) as invoker:
            for number in range(4):
                ended = await invoked(invoker, number)
                # Rejecting all of it as malformed is right too; the function may have run.
                if isinstance(ended, TransportError):
                    assert ended.delivery.may_have_run
                else:
                    assert isinstance(ended, Response), ended
                    assert ended.json() == number
            assert server.whole == 4
