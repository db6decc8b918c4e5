"""Controlling a map: pausing, resuming, stopping, and stopping by failures."""

import math
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import anyio
import pytest
from tenacity import stop_never, wait_none

from asyncinvoke import (
    AdaptiveLimit,
    Backoff,
    ConfigurationError,
    DeadlineExceededError,
    FixedLimit,
    FunctionError,
    InvalidRequestError,
    Invoker,
    MapRun,
    Outcome,
    RetryPolicy,
    Tolerance,
    ToleranceExceededError,
    TransportError,
)
from asyncinvoke._engine import source
from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply
from asyncinvoke.testing import InstantClock
from asyncinvoke.typing import Phase
from tests.doubles.engine import FakeClock
from tests.doubles.waiting import settle

from .map_doubles import SOON

pytestmark = pytest.mark.anyio


class HoldingTransport:
    """A transport whose attempts stay in flight until the test releases them, one by one."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.fails_with: Failure | None = None
        self._released = anyio.Semaphore(0)

    async def send(self, parameters: Any, payload: bytes, progress: Progress) -> Reply | Failure:
        self.sent.append(int(payload))
        await self._released.acquire()
        if self.fails_with is not None:
            return self.fails_with
        wrong = b"9" in payload
        return Reply(
            status_code=200,
            payload=b'{"errorType": "ValueError", "errorMessage": "a nine"}' if wrong else payload,
            function_error="Unhandled" if wrong else None,
        )

    open = send

    async def release(self, number: int = 1) -> None:
        for _ in range(number):
            self._released.release()
        await settle()


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> HoldingTransport:
    # A reader that is delayed by a busy machine would pause.
    monkeypatch.setattr(source, "LONGEST_HOLD", math.inf)
    return HoldingTransport()


@pytest.fixture
async def invoker(endpoint: HoldingTransport) -> AsyncIterator[Invoker]:
    with anyio.fail_after(SOON):
        async with Invoker(transport=endpoint, limit=FixedLimit(2)) as opened:  # type: ignore[arg-type]
            yield opened


async def rest(run: MapRun) -> list[int]:
    return sorted([each.index async for each in run])


async def test_a_pause_starts_nothing_and_lets_what_is_in_flight_end(
    invoker: Invoker, endpoint: HoldingTransport
) -> None:
    # Of eight items in progress, two are in flight, and six wait for a permit.
    async with invoker.map("f", range(8), concurrency=8) as run:
        await settle()
        run.pause()
        assert run.statistics().paused
        assert run.statistics().waiting_for == "`resume`: it is paused"
        await endpoint.release(2)
        assert endpoint.sent == [0, 1]
        assert sorted([(await anext(run)).index for _ in range(2)]) == [0, 1]
        assert invoker.statistics().in_flight == 0
        run.resume()
        run.resume()
        await settle()
        assert len(endpoint.sent) == 4
        assert not run.statistics().paused
        await endpoint.release(6)
        assert await rest(run) == [2, 3, 4, 5, 6, 7]


async def test_a_map_that_is_paused_reads_nothing_and_keeps_no_other_call_waiting(
    invoker: Invoker, endpoint: HoldingTransport
) -> None:
    async with invoker.map("f", count(), concurrency=8) as run:
        run.pause()
        await settle()
        assert run.statistics().read == 0
        run.resume()
        await settle()
        read = run.statistics().read
        run.pause()
        await endpoint.release(3)
        response = await invoker.invoke("f", 1234)
        assert response.json() == 1234
        assert run.statistics().read == read
        run.stop()
        assert await rest(run) == [0, 1]
    assert endpoint.sent == [0, 1, 1234]


async def test_stop_leaves_what_waits_for_a_permit_and_what_is_not_sent_has_no_outcome(
    invoker: Invoker, endpoint: HoldingTransport
) -> None:
    async with invoker.map("f", range(100), concurrency=50, ordered=True) as run:
        await settle()
        run.stop()
        await endpoint.release(2)
        assert await rest(run) == [0, 1]
        statistics = run.statistics()
        assert (statistics.total, statistics.working, statistics.succeeded) == (100, 0, 2)
    assert endpoint.sent == [0, 1]


async def test_stop_does_not_wait_for_a_function_that_admits_nothing(
    invoker: Invoker, endpoint: HoldingTransport
) -> None:
    endpoint.fails_with = Failure(status_code=429, phase=Phase.BODY_READ, code="TooManyRequests")
    async with invoker.map("f", count(), concurrency=4) as run:
        await settle()
        await endpoint.release(2)  # they wait for their next attempt
        run.stop()
        await endpoint.release(8)
        assert await rest(run) == []


async def test_what_may_have_run_and_waits_to_be_repeated_has_an_outcome(
    invoker: Invoker, endpoint: HoldingTransport
) -> None:
    endpoint.fails_with = Failure(fault=TransportFault.CONNECTION_LOST, phase=Phase.WRITTEN)
    async with invoker.map("f", [0], concurrency=1, idempotent=True) as run:
        await settle()
        await endpoint.release()
        run.stop()
        outcome = await anext(run)
        error = outcome.error
        assert isinstance(error, TransportError)
        assert (error.delivery, error.gave_up) == ("unknown", "stopped")
        assert "the map was stopped" in str(error)
        assert await rest(run) == []


async def test_too_many_failures_stop_softly_and_then_raise(
    invoker: Invoker, endpoint: HoldingTransport
) -> None:
    got: list[Outcome] = []
    async with invoker.map("f", [9, 1, 9, 2, 3, 4], concurrency=6, tolerate=0) as run:
        await settle()
        await endpoint.release(6)
        match = "1 FunctionError ValueError: a nine"
        with pytest.raises(ToleranceExceededError, match=match):  # noqa: PT012
            async for each in run:
                got.append(each)
    # Items in flight when the nine had failed have outcomes; no others were started.
    assert [type(each.error) for each in got if not each.ok] == [FunctionError]
    assert sorted(each.index for each in got) == list(range(len(endpoint.sent)))
    assert endpoint.sent == [9, 1]


async def test_the_tolerance_can_be_changed_during_a_run(
    invoker: Invoker, endpoint: HoldingTransport
) -> None:
    async with invoker.map("f", [9, 19, 29, 39], concurrency=1, tolerate=Tolerance(0)) as run:
        run.set_tolerance(None)
        await endpoint.release(2)
        assert [(await anext(run)).ok for _ in range(2)] == [False, False]
        with pytest.raises(InvalidRequestError, match="tolerate"):
            run.set_tolerance(0.02)  # type: ignore[arg-type]  # wrong on purpose
        run.set_tolerance(2)
        await endpoint.release(2)
        assert not (await anext(run)).ok
        with pytest.raises(ToleranceExceededError, match=r"3 of 3 items failed .tolerated: 2.: "):
            await anext(run)


async def test_a_throttle_that_was_waited_out_is_no_failure() -> None:
    class ThrottlingTransport(HoldingTransport):
        async def send(
            self, parameters: Any, payload: bytes, progress: Progress
        ) -> Reply | Failure:
            self.sent.append(int(payload))
            if self.sent.count(int(payload)) < 3:
                return Failure(status_code=429, phase=Phase.BODY_READ, code="TooManyRequests")
            return Reply(status_code=200, payload=payload)

        open = send

    with anyio.fail_after(SOON):
        limit = AdaptiveLimit(initial=4, maximum=4)
        async with (
            Invoker(
                transport=ThrottlingTransport(),  # type: ignore[arg-type]
                limit=limit,
                clock=InstantClock(),
            ) as invoker,
            invoker.map("f", range(4), tolerate=0) as run,
        ):
            assert await rest(run) == [0, 1, 2, 3]


@pytest.mark.parametrize("wrong", [0.02, "2%", -1, True])
async def test_a_wrong_tolerance_is_refused_before_anything_is_sent(
    wrong: Any, invoker: Invoker, endpoint: HoldingTransport
) -> None:
    with pytest.raises(InvalidRequestError, match="tolerate"):
        invoker.map("f", [1], tolerate=wrong)
    assert endpoint.sent == []


async def test_a_map_that_is_paused_when_its_invoker_is_left_sends_nothing_more(
    endpoint: HoldingTransport,
) -> None:
    invoker = Invoker(transport=endpoint)  # type: ignore[arg-type]
    await invoker.__aenter__()
    outcomes: list[Outcome] = []

    async def consume() -> None:
        async with invoker.map("work", count(), concurrency=2) as run:
            await settle()
            run.pause()
            await endpoint.release(2)
            await invoker.__aexit__(None, None, None)
            run.resume()
            async for outcome in run:
                outcomes.append(outcome)

    with anyio.fail_after(SOON), pytest.raises(ConfigurationError, match="reads no further"):
        await consume()
    assert endpoint.sent == [0, 1]
    assert [outcome.ok for outcome in outcomes[:2]] == [True, True]
    assert {type(outcome.error) for outcome in outcomes[2:]} == {TransportError}


async def test_an_item_that_waits_to_be_tried_again_is_held_by_a_pause_and_goes_on_after_it() -> (
    None
):
    refusals = [Failure(status_code=429, code="TooManyRequestsException")]
    sent = 0
    paused = anyio.Event()

    class RefusingTransport:
        async def send(self, *_: Any) -> Reply | Failure:
            nonlocal sent
            sent += 1
            if refusals:
                run.pause()
                paused.set()
                return refusals.pop()
            return Reply(status_code=200, payload=b"1")

        open = send

    transport: Any = RefusingTransport()
    async with Invoker(transport=transport, clock=InstantClock()) as invoker:
        with anyio.fail_after(SOON):
            async with invoker.map("work", [1]) as run:
                await paused.wait()
                await settle()
                assert sent == 1, "the backoff is over, and the map is paused"
                run.resume()
                (outcome,) = [each async for each in run]
    assert outcome.ok
    assert len(outcome.attempts) == 2


async def test_an_item_whose_deadline_passes_while_its_map_is_paused_reports_that_on_any_clock() -> (
    None
):
    class RefusingTransport:
        async def send(self, *_: Any) -> Reply | Failure:
            run.pause()
            return Failure(status_code=429, code="TooManyRequestsException")

        open = send

    transport: Any = RefusingTransport()
    at_once = RetryPolicy(throttled=Backoff(wait=wait_none(), stop=stop_never))
    # The clock stands still, and the deadline expires in real time.
    async with Invoker(transport=transport, clock=FakeClock()) as invoker:
        with anyio.fail_after(SOON):
            async with invoker.map("work", [1], timeout=0.01, retry=at_once) as run:
                (outcome,) = [each async for each in run]
    assert isinstance(outcome.error, DeadlineExceededError)
    assert "waiting for a permit: the map is paused" in str(outcome.error)
    assert len(outcome.attempts) == 1
