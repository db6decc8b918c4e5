"""A map that is stopped because nothing could be sent for a whole outage."""

from typing import Any

import pytest

from asyncinvoke import (
    Delivery,
    GaveUp,
    InvocationError,
    Invoker,
    RetryPolicy,
    ToleranceExceededError,
    TransportError,
)
from asyncinvoke._engine.outage import Outage
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Attempt, Reply
from asyncinvoke._retries.policy import LONGEST_OUTAGE
from asyncinvoke.testing import InstantClock
from asyncinvoke.typing import Phase


def unsent(
    elapsed: float = LONGEST_OUTAGE,
    *,
    waited: float = 0.0,
    gave_up: GaveUp = GaveUp.ATTEMPTS,
    delivery: Delivery = Delivery.NOT_SENT,
) -> TransportError:
    return TransportError(
        "https://example.com refuses connections",
        function_name="resize",
        delivery=delivery,
        code="ConnectFailed",
        attempts=(Attempt(number=1, waited=waited, started=0.0, elapsed=0.1),),
        elapsed=elapsed,
        gave_up=gave_up,
    )


def test_an_item_that_was_not_sent_for_a_whole_outage_ends_the_run() -> None:
    outage = Outage()
    outage.begin(0)
    assert outage.end(0, unsent()) == (
        "nothing could be sent for 5 minutes: https://example.com refuses connections"
    )


@pytest.mark.parametrize(
    "error",
    [
        None,
        unsent(LONGEST_OUTAGE - 1),
        unsent(waited=1.0),
        unsent(gave_up=GaveUp.DEADLINE),
        unsent(gave_up=GaveUp.CLOSED),
        unsent(delivery=Delivery.UNKNOWN),
    ],
    ids=["success", "sooner", "waited for a permit", "its own timeout", "closed", "may have run"],
)
def test_any_other_end_does_not(error: InvocationError | None) -> None:
    outage = Outage()
    outage.begin(0)
    assert outage.end(0, error) is None


@pytest.mark.parametrize("arrived", [None, unsent(1.0, delivery=Delivery.REJECTED)])
def test_what_arrived_meanwhile_shows_that_the_endpoint_is_there(
    arrived: InvocationError | None,
) -> None:
    outage = Outage()
    outage.begin(0)
    outage.begin(1)
    assert outage.end(1, arrived) is None
    outage.begin(2)
    assert outage.end(0, unsent()) is None
    assert outage.end(2, unsent()) is not None
    assert not outage._arrived_before


class Away:
    """A transport to an endpoint that refuses connections once it has answered a few times."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.refused = 0

    async def send(self, parameters: Any, payload: bytes, progress: Any) -> Reply | Failure:
        if self.answers:
            self.answers -= 1
            return Reply(status_code=200, payload=payload)
        self.refused += 1
        return Failure(
            fault=TransportFault.CONNECT, phase=Phase.CONNECTING, message="it refuses connections"
        )

    open = send


@pytest.mark.anyio
@pytest.mark.parametrize("answers", [0, 30])
@pytest.mark.parametrize("batch", [None, 5])
async def test_a_run_ends_after_one_outage_and_not_item_after_item(
    answers: int, batch: int | None
) -> None:
    clock, transport = InstantClock(), Away(answers)
    began = clock.monotonic()
    ended = []
    said = None
    async with (
        Invoker(transport=transport, clock=clock) as invoker,  # type: ignore[arg-type]
        invoker.map("f", range(10_000), concurrency=20, batch=batch) as run,
    ):
        try:
            async for outcome in run:
                ended.append(outcome.ok)
        except ToleranceExceededError as error:
            said = str(error)
    assert said == ("stopped: nothing could be sent for 5 minutes: it refuses connections")
    assert sum(ended) == answers * (batch or 1)
    assert 1 <= ended.count(False) <= 20 * (batch or 1)
    assert clock.monotonic() - began < 2 * LONGEST_OUTAGE
    assert transport.refused < 400


@pytest.mark.anyio
async def test_under_a_policy_that_does_not_wait_an_outage_out_each_item_fails_by_itself() -> None:
    transport = Away(0)
    async with (
        Invoker(transport=transport, clock=InstantClock()) as invoker,  # type: ignore[arg-type]
        invoker.map("f", range(300), retry=RetryPolicy.standard()) as run,
    ):
        assert [outcome.ok async for outcome in run] == [False] * 300
