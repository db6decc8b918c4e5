"""Bulk runs during outages of the network or of credentials: nothing is lost or sent twice."""

import contextlib
from collections.abc import Callable, Iterator

import anyio
import pytest

from asyncinvoke import Delivery, FixedLimit, Invoker, Outcome
from tests.doubles.clock import AcceleratedClock
from tests.doubles.counting_server import Act, CountingServer
from tests.doubles.messages import Received
from tests.doubles.security_token_service import SecurityTokenService, role_answer, sts_error
from tests.doubles.waiting import until

from .faults import Environment, with_role
from .invokers import SESSION, new_session, open_invoker

ITEMS = 60
WORKERS = 5
SHORTEST, LONGEST = 0.4, 0.9
"""The duration of an outage in seconds; 20 and 45 on the invoker's clock."""


class Outage:
    """A dependency that can fail, and the number of calls that it has failed."""

    def __init__(self, begin: Callable[[], object], end: Callable[[], object]) -> None:
        self.begin = begin
        self.end = end

    async def last(self, invoker: Invoker, unsent: int, server: CountingServer) -> None:
        """Fail until enough calls have met the outage, and for a minimum time.

        Args:
            invoker: The invoker whose attempts fail.
            unsent: The number of attempts that are to fail, if that many are made in time.
            server: The server that counts the attempts that were sent.
        """
        self.begin()
        began = anyio.current_time()
        while anyio.current_time() < began + LONGEST:
            await anyio.sleep(0.01)
            met = invoker.statistics().attempts - server.whole - WORKERS
            if met >= unsent and anyio.current_time() > began + SHORTEST:
                break
        self.end()


def role_through(
    act: Act | None,
) -> Callable[[Environment], contextlib.AbstractContextManager[Outage]]:
    """Credentials come from STS, which fails during the outage, or the token file is deleted.

    Until the outage is over, credentials are renewed before each call.
    """

    @contextlib.contextmanager
    def prepare(environment: Environment) -> Iterator[Outage]:
        phases = ["before"]

        def decide(_: Received) -> Act:
            if phases[-1] == "outage" and act is not None:
                return act
            lifetime = 3600 if phases[-1] == "after" else 60
            return Act(sent=role_answer(lifetime=lifetime))

        def begin() -> None:
            phases.append("outage")
            if act is None:
                token.unlink()

        def end() -> None:
            phases.append("after")
            token.write_text("projected-token")

        with SecurityTokenService(default=decide) as service:
            token = with_role(environment, service.url)
            yield Outage(begin, end)

    return prepare


OUTAGES = {
    "token file is away": role_through(None),
    "STS answers 500": role_through(sts_error(500, "InternalFailure")),
    "STS throttles": role_through(sts_error(400, "Throttling", "Rate exceeded")),
}


async def mapped(invoker: Invoker) -> list[Outcome]:
    async with invoker.map("f", range(ITEMS)) as run:
        return [outcome async for outcome in run]


def check(outcomes: list[Outcome], server: CountingServer, invoker: Invoker) -> None:
    assert sorted(outcome.index for outcome in outcomes) == [*range(ITEMS)]
    lost = [outcome for outcome in outcomes if not outcome.ok]
    assert not lost, f"{len(lost)} of {ITEMS} lost, the first: {lost[0].error}"
    assert server.bodies() == {b"%d" % number: 1 for number in range(ITEMS)}
    tried = [attempt for outcome in outcomes for attempt in outcome.attempts[:-1]]
    assert {attempt.delivery for attempt in tried} <= {Delivery.NOT_SENT}
    assert not any(invoker.statistics().throttles.values())


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "transport"),
    [
        ("token file is away", "direct"),
        ("token file is away", "client"),
        ("STS answers 500", "direct"),
        ("STS throttles", "client"),
    ],
)
async def test_credentials_that_are_unavailable_for_a_while_cost_a_map_no_item(
    name: str, transport: str, environment: Environment
) -> None:
    outcomes: list[Outcome] = []
    with OUTAGES[name](environment) as outage, CountingServer() as server:
        async with (
            open_invoker(
                server.url,
                transport=transport,
                session=new_session(),
                limit=FixedLimit(WORKERS),
                clock=AcceleratedClock(),
            ) as invoker,
            anyio.create_task_group() as tasks,
        ):

            async def be_away() -> None:
                await until(lambda: server.whole >= 2)
                await outage.last(invoker, 2, server)

            tasks.start_soon(be_away)
            outcomes += await mapped(invoker)
        check(outcomes, server, invoker)


@pytest.mark.anyio
async def test_an_endpoint_that_refuses_for_a_while_costs_a_map_no_item(transport: str) -> None:
    outcomes: list[Outcome] = []
    server = (
        CountingServer()
    )  # bound to its port, but not listening yet, so connections are refused
    outage = Outage(bool, server.__enter__)
    try:
        async with (
            open_invoker(
                server.url,
                transport=transport,
                session=SESSION,
                limit=FixedLimit(WORKERS),
                clock=AcceleratedClock(),
            ) as invoker,
            anyio.create_task_group() as tasks,
        ):
            # As many attempts as all workers make if each gives up after five.
            tasks.start_soon(outage.last, invoker, 5 * WORKERS, server)
            outcomes += await mapped(invoker)
        check(outcomes, server, invoker)
    finally:
        server.close()
