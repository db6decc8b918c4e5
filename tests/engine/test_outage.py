"""A map stops if nothing could be sent during a whole outage."""

import pickle
from typing import Any

import pytest

from asyncinvoke import (
    AsyncInvokeError,
    Delivery,
    GaveUp,
    InvalidRequestError,
    Invoker,
    RetryPolicy,
    ToleranceExceededError,
    TransportError,
)
from asyncinvoke._engine.hopeless import outlasted
from asyncinvoke._limits.rate import FORGOTTEN
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply
from asyncinvoke._retries.policy import LONGEST_OUTAGE
from asyncinvoke.testing import InstantClock
from asyncinvoke.typing import Phase


def unsent(
    outage: float = LONGEST_OUTAGE,
    *,
    gave_up: GaveUp = GaveUp.ATTEMPTS,
    delivery: Delivery = Delivery.NOT_SENT,
) -> TransportError:
    error = TransportError(
        "https://example.com refuses connections",
        function_name="resize",
        delivery=delivery,
        code="ConnectFailed",
    )
    return error._complete(
        attempts=(), delivery=delivery, elapsed=LONGEST_OUTAGE, gave_up=gave_up, outage=outage
    )


def test_an_item_that_was_not_sent_for_a_whole_outage_ends_the_run() -> None:
    text = "nothing could be sent for 5 minutes: https://example.com refuses connections"
    assert outlasted(unsent()) == text
    assert outlasted(pickle.loads(pickle.dumps(unsent()))) == text


@pytest.mark.parametrize(
    "error",
    [
        unsent(LONGEST_OUTAGE - 1),
        unsent(gave_up=GaveUp.DEADLINE),
        unsent(gave_up=GaveUp.CLOSED),
        TransportError("reset", function_name="resize", delivery=Delivery.UNKNOWN),
        InvalidRequestError("too large"),
    ],
    ids=["sooner", "its own timeout", "closed", "no outage", "not encoded"],
)
def test_any_other_failure_does_not_end_the_run(error: AsyncInvokeError) -> None:
    assert outlasted(error) is None


class UnreachableTransport:
    """A transport to an endpoint that refuses connections after a few answers."""

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
@pytest.mark.parametrize("concurrency", [20, 1000])
async def test_a_run_ends_after_one_outage_and_not_item_after_item(
    answers: int, batch: int | None, concurrency: int
) -> None:
    clock, transport = InstantClock(), UnreachableTransport(answers)
    began = clock.monotonic()
    ended = []
    text = None
    async with (
        Invoker(transport=transport, clock=clock) as invoker,  # type: ignore[arg-type]
        invoker.map("f", range(10_000), concurrency=concurrency, batch=batch) as run,
    ):
        try:
            async for outcome in run:
                ended.append(outcome.ok)
        except ToleranceExceededError as error:
            text = str(error)
    assert text == ("stopped: nothing could be sent for 5 minutes: it refuses connections")
    assert sum(ended) == answers * (batch or 1)
    # Other items that were not sent have no outcomes: the same command sends them again.
    assert 1 <= ended.count(False) <= 20 * (batch or 1)
    assert LONGEST_OUTAGE <= clock.monotonic() - began < 1.5 * LONGEST_OUTAGE
    assert transport.refused < 400


@pytest.mark.anyio
async def test_under_a_policy_that_does_not_wait_an_outage_out_each_item_fails_by_itself() -> None:
    transport = UnreachableTransport(0)
    async with (
        Invoker(transport=transport, clock=InstantClock()) as invoker,  # type: ignore[arg-type]
        invoker.map("f", range(300), retry=RetryPolicy.standard()) as run,
    ):
        assert [outcome.ok async for outcome in run] == [False] * 300


@pytest.mark.anyio
async def test_the_time_of_a_call_counts_from_the_start_of_the_outage_unless_idle_for_long() -> (
    None
):
    clock, transport = InstantClock(), UnreachableTransport(0)
    async with Invoker(
        transport=transport,  # type: ignore[arg-type]
        clock=clock,
        retry=RetryPolicy.batch(),
    ) as invoker:
        for begins_anew in (True, False, True):
            began = clock.monotonic()
            with pytest.raises(TransportError) as raised:
                await invoker.invoke("f")
            assert raised.value.gave_up is GaveUp.ATTEMPTS
            waited = clock.monotonic() - began
            assert waited >= LONGEST_OUTAGE if begins_anew else waited < LONGEST_OUTAGE / 2
            if not begins_anew:
                await clock.sleep(FORGOTTEN + 10)
