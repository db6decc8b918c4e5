"""Limits over real HTTP: nothing is lost, and the limit named by the reason is lowered.

The tests count and do not measure time: functions run until something has been throttled.
`benchmarks.ceilings` measures utilisation, speed and fairness.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from asyncinvoke import (
    AdaptiveLimit,
    DeadlineExceededError,
    Invoker,
    LimitChanged,
    Request,
    ThrottledError,
    ThrottleReason,
    ThrottleScope,
)
from asyncinvoke._model.failure import LIMIT_OF_REASON
from asyncinvoke.local import LocalLambda, throttle
from asyncinvoke.testing import InstantClock
from asyncinvoke.typing import Event

pytestmark = pytest.mark.anyio

ITEMS = 40
LIMIT = AdaptiveLimit(initial=20, maximum=50)


@pytest.fixture
async def local() -> AsyncIterator[LocalLambda]:
    async with LocalLambda() as local:
        yield local


def until(condition: Callable[[], bool]) -> Callable[[Any, Any], Awaitable[Any]]:
    """Return a function that runs until a condition holds, and echoes its event."""

    async def handler(event: Any, context: Any) -> Any:
        while not condition():
            await anyio.sleep(0.002)
        return event

    return handler


async def run_all(invoker: Invoker, **options: Any) -> Counter[int]:
    """Map, and return how often each item succeeded."""
    seen: Counter[int] = Counter()
    async with invoker.map("work", range(ITEMS), **options) as run:
        async for outcome in run:
            seen[outcome.unwrap().json()] += 1
    return seen


def lowered(events: list[Event]) -> set[ThrottleScope]:
    changes = [event for event in events if isinstance(event, LimitChanged)]
    return {change.scope for change in changes if change.reason is not None}


@pytest.mark.parametrize("reason", ThrottleReason)
async def test_every_payload_runs_once_whatever_is_throttled(
    local: LocalLambda, reason: ThrottleReason
) -> None:
    events: list[Event] = []
    local.function("work", until(lambda: True), timeout=60)
    local.fault(throttle(str(reason)), count=15)
    async with Invoker(
        endpoint_url=local.url, limit=LIMIT, clock=InstantClock(), hooks=[events.append]
    ) as invoker:
        assert await run_all(invoker) == Counter(range(ITEMS))
        statistics = invoker.statistics()
    assert local.statistics().executions == ITEMS
    assert statistics.throttles == {reason: 15}
    assert statistics.attempts == ITEMS + 15
    assert {each.scope for each in statistics.scopes if each.throttles} == lowered(events)
    assert lowered(events) == {LIMIT_OF_REASON[reason].scope}


@pytest.mark.parametrize("scope", [ThrottleScope.ACCOUNT, ThrottleScope.FUNCTION])
async def test_a_limit_that_is_really_there_moves_the_scope_that_the_reason_names(
    local: LocalLambda, scope: ThrottleScope
) -> None:
    events: list[Event] = []
    reserved = 5 if scope is ThrottleScope.FUNCTION else None
    local.account_concurrency = 200 if reserved else 5
    # No call ends before one has been throttled.
    handler = until(lambda: bool(local.statistics().throttles))
    local.function("work", handler, reserved_concurrency=reserved, timeout=60)
    async with Invoker(endpoint_url=local.url, limit=LIMIT, hooks=[events.append]) as invoker:
        assert await run_all(invoker) == Counter(range(ITEMS))
        statistics = invoker.statistics()
    there = local.statistics()
    assert (there.executions, there.peak_in_flight) == (ITEMS, 5)
    assert sum(statistics.throttles.values()) == sum(there.throttles.values()) > 0
    assert statistics.attempts == ITEMS + sum(there.throttles.values())
    assert lowered(events) == {scope}


async def test_a_function_that_is_full_does_not_hold_back_another_of_the_same_map(
    local: LocalLambda,
) -> None:
    calm = 0

    async def items() -> AsyncIterator[Request]:
        for number in range(ITEMS):
            yield Request(payload=number, function_name="hog")
            yield Request(payload=number, function_name="calm")

    # The hog runs until all others are done; behind it, they would never run.
    local.function("hog", until(lambda: calm == ITEMS), reserved_concurrency=2, timeout=60)
    local.function("calm", until(lambda: True), timeout=60)
    ended: Counter[str] = Counter()
    async with (
        Invoker(endpoint_url=local.url, limit=200) as invoker,
        invoker.map("calm", items()) as run,
    ):
        async for outcome in run:
            name = "hog" if outcome.index % 2 == 0 else "calm"
            assert outcome.ok
            ended[name] += 1
            if name == "calm":
                calm += 1
                assert ended["hog"] == 0
        scopes = {each.key: each for each in invoker.statistics().scopes}
    assert ended == {"hog": ITEMS, "calm": ITEMS}
    assert scopes["hog"].throttles > 0
    assert scopes["calm"].throttles == 0


async def test_a_function_without_any_concurrency_is_asked_slowly_until_the_deadline(
    local: LocalLambda,
) -> None:
    local.function("closed", until(lambda: True), reserved_concurrency=0)
    limit, clock = AdaptiveLimit(initial=1), InstantClock()
    async with Invoker(endpoint_url=local.url, limit=limit, clock=clock) as invoker:
        async with invoker.map("closed", range(30), timeout=60) as run:
            outcomes = [outcome async for outcome in run]
        closed = next(each for each in invoker.statistics().scopes if each.key == "closed")
    assert {type(outcome.error) for outcome in outcomes} <= {DeadlineExceededError, ThrottledError}
    assert len(outcomes) == 30
    # Pauses grow from 0.05 s by factors of two up to 5 s, with jitter of up to a half, so there are
    # fewer than thirty attempts each.
    assert 7 <= local.statistics().invocations <= 31
    assert (closed.limit, closed.waiting, closed.in_flight) == (1, 0, 0)
    assert closed.pause > 0
    late = [each.error for each in outcomes if isinstance(each.error, DeadlineExceededError)]
    reason = ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED
    assert any(f"function closed has a limit of 1 and pauses ({reason})" in str(e) for e in late)
