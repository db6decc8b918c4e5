"""Limits over real HTTP: an endpoint in a process of its own refuses, and nothing is lost."""

import selectors
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncinvoke import (
    DeadlineExceededError,
    Invoker,
    LimitChanged,
    Request,
    ThrottledError,
    ThrottleReason,
    ThrottleScope,
)
from asyncinvoke.local import LocalLambda
from benchmarks.endpoint import CALM, FUNCTION, Endpoint

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def run_all(invoker: Invoker, items: int, **options: Any) -> Counter[int]:
    """Map, and give how often each item came back well."""
    seen: Counter[int] = Counter()
    async with invoker.map(FUNCTION, range(items), **options) as run:
        async for outcome in run:
            seen[outcome.unwrap().json()] += 1
    return seen


ENDPOINTS: list[tuple[dict[str, Any], int, ThrottleReason]] = [
    ({"account": 50}, 200, ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED),
    ({"account": 50}, 1000, ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED),
    (
        {"reserved": 20},
        200,
        ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED,
    ),
    (
        {"account": 20, "moves": ((0.6, 80),)},
        200,
        ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED,
    ),
    (
        {"account": 80, "moves": ((0.6, 20),)},
        200,
        ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED,
    ),
    ({"rate": 100}, 200, ThrottleReason.FUNCTION_INVOCATION_RATE_LIMIT_EXCEEDED),
]


@pytest.mark.parametrize(("limits", "asked", "reason"), ENDPOINTS)
async def test_every_payload_runs_once_whatever_is_throttled(
    limits: dict[str, Any], asked: int, reason: ThrottleReason
) -> None:
    items = 400
    with Endpoint(duration=0.05, **limits) as endpoint:
        async with Invoker(endpoint_url=endpoint.url, limit=asked) as invoker:
            seen = await run_all(invoker, items)
            statistics = invoker.statistics()
        there = endpoint.counts()
    assert seen == Counter(range(items))
    assert (there["executions"], there["repeated"]) == (items, 0)
    assert statistics.throttles == {reason: there["throttled"]}
    assert statistics.attempts == items + there["throttled"]
    # Retrying without a limit costs several throttles for each success at these ratios.
    assert 0 < there["throttled"] <= 0.4 * items


async def test_the_limit_of_the_scope_that_the_reason_names_is_the_one_that_moves() -> None:
    events: list[LimitChanged] = []
    with Endpoint(duration=0.05, account=100, reserved=10) as endpoint:
        async with Invoker(endpoint_url=endpoint.url, hooks=[events.append]) as invoker:
            await run_all(invoker, 200, concurrency=100)
            scopes = {(each.scope, each.key): each for each in invoker.statistics().scopes}
    lowered = {(each.scope, each.key) for each in events if each.reason is not None}
    assert lowered == {(ThrottleScope.FUNCTION, FUNCTION)}
    assert 5 <= scopes[ThrottleScope.FUNCTION, FUNCTION].limit <= 14
    assert scopes[ThrottleScope.FUNCTION, FUNCTION].throttles > 0
    assert scopes[ThrottleScope.ACCOUNT, ""].throttles == 0


async def test_a_hog_does_not_hold_back_a_calm_function_of_the_same_map() -> None:
    hogs = 60

    async def items() -> AsyncIterator[Request]:
        for number in range(hogs):
            yield Request(payload=number, function_name=FUNCTION)
            yield Request(payload=number, function_name=CALM)

    order: list[str] = []
    with Endpoint(duration=0.05, reserved=2) as endpoint:
        async with (
            Invoker(endpoint_url=endpoint.url, limit=200) as invoker,
            invoker.map(CALM, items()) as run,
        ):
            async for outcome in run:
                throttles = [each for each in outcome.attempts if each.reason is not None]
                assert outcome.ok
                order.append("hog" if throttles else "any")
            scopes = {each.key: each for each in invoker.statistics().scopes}
        assert endpoint.counts()["executions"] == hogs
    assert scopes[CALM].throttles == 0
    assert len(order) == 2 * hogs
    # The hog takes 30 rounds at 2 in flight: a calm function behind it would end with it.
    assert "hog" not in order[: hogs // 2]


async def test_a_function_without_any_concurrency_is_asked_slowly_until_the_deadline() -> None:
    async with LocalLambda() as local:
        local.function("closed", lambda event, context: event, reserved_concurrency=0)
        async with Invoker(endpoint_url=local.url) as invoker:
            async with invoker.map("closed", range(30), timeout=1.5) as run:
                outcomes = [outcome async for outcome in run]
            closed = next(each for each in invoker.statistics().scopes if each.key == "closed")
        asked = local.statistics().invocations
    assert {type(outcome.error) for outcome in outcomes} <= {DeadlineExceededError, ThrottledError}
    assert len(outcomes) == 30
    assert asked <= 35
    assert closed.pause > 0
    assert closed.limit == 1


async def test_a_deadline_names_the_scope_that_is_full_and_its_limit() -> None:
    with Endpoint(duration=0.05, reserved=0) as endpoint:
        async with Invoker(endpoint_url=endpoint.url) as invoker:
            async with invoker.map(FUNCTION, range(3), timeout=0.5) as run:
                async for _ in run:
                    pass
            with pytest.raises(DeadlineExceededError, match="function work has a limit of 1 and"):
                await invoker.invoke(FUNCTION, timeout=0.01)


CLIENT = """
import sys, anyio
from asyncinvoke import Invoker

async def main(url, first, items):
    seen = []
    async with Invoker(endpoint_url=url, limit=200) as invoker:
        print("ready", flush=True)
        sys.stdin.readline()
        async with invoker.map("work", range(first, first + items)) as run:
            async for outcome in run:
                seen.append(outcome.unwrap().json())
    assert sorted(seen) == list(range(first, first + items))
    print("done", flush=True)

anyio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
"""


async def test_two_processes_on_one_limit_both_get_on_and_nothing_runs_twice() -> None:
    items = 300
    with Endpoint(duration=0.05, account=30) as endpoint:
        clients = [
            subprocess.Popen(
                [sys.executable, "-c", CLIENT, endpoint.url, str(first), str(items)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            for first in (0, items)
        ]
        for client in clients:
            assert client.stdout is not None
            assert client.stdout.readline() == "ready\n"
        for client in clients:
            assert client.stdin is not None
            client.stdin.write("go\n")
        with selectors.DefaultSelector() as done:
            for client in clients:
                assert client.stdout is not None
                done.register(client.stdout, selectors.EVENT_READ)
            done.select()
        when_the_first_was_done = endpoint.counts()["executions"]
        assert [client.communicate()[0] for client in clients] == ["done\n"] * 2
        there = endpoint.counts()
    # The other got on meanwhile; how fair it is, `benchmarks.ceilings` measures.
    assert when_the_first_was_done > items
    assert (there["executions"], there["repeated"]) == (2 * items, 0)
    assert 0 < there["throttled"] <= 0.2 * there["executions"]
