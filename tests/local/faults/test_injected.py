"""Which fault is played for a request: by function, by count, at random, in order."""

import itertools
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from tenacity import stop_after_attempt, wait_none

from asyncinvoke import (
    Backoff,
    Invoker,
    RetryPolicy,
    ServiceError,
    ThrottledError,
)
from asyncinvoke.local import (
    Answer,
    Close,
    LocalLambda,
    Reset,
    Step,
    error,
    stream,
    throttle,
)

pytestmark = pytest.mark.anyio
with_functions = pytest.mark.usefixtures("functions")

ARN = "arn:aws:lambda:us-east-1:123456789012:function:echo"


@with_functions
async def test_the_first_that_applies_is_played_and_one_that_is_removed_no_longer(
    local: LocalLambda, invoker: Invoker
) -> None:
    first = local.fault(throttle(), function_name="other")
    second = local.fault(error(500, "ServiceException"))
    assert (await code(invoker, "echo"), await code(invoker, "other")) == (500, 429)
    assert (first.played, second.played) == (1, 1)
    first.remove()
    first.remove()
    assert await code(invoker, "other") == 500
    second.remove()
    assert await code(invoker, "other") == 200
    assert repr(first) == "<InjectedFault Answer for function other, played 1 times>"


@with_functions
async def test_a_function_is_meant_by_its_bare_name_however_it_is_asked_for(
    local: LocalLambda, invoker: Invoker
) -> None:
    local.fault(throttle(), function_name="echo")
    for name in ("echo", "echo:$LATEST", ARN):
        assert await code(invoker, name) == 429


@with_functions
async def test_the_same_seed_chooses_the_same_requests(
    local: LocalLambda, invoker: Invoker
) -> None:
    patterns = []
    for seed in (1, 1, 2):
        fault = local.fault(throttle(), probability=0.3, seed=seed)
        patterns.append([await code(invoker, "echo") for _ in range(60)])
        assert fault.played == patterns[-1].count(429)
        fault.remove()
    assert patterns[0] == patterns[1] != patterns[2]
    assert 5 <= patterns[0].count(429) <= 35


@with_functions
async def test_faults_at_random_lose_nothing_of_an_idempotent_run(
    local: LocalLambda, invoker: Invoker
) -> None:
    # One in five requests is lost, alternately before and after the function ran.
    steps: list[Step] = [Reset(), Close()]
    for seed, (step, after_run) in enumerate(itertools.product(steps, [False, True])):
        local.fault(step, probability=0.05, seed=seed, after_run=after_run)
    seen: Counter[int] = Counter()
    attempts = 0
    stubborn = replace(
        RetryPolicy.batch(), transport=Backoff(wait=wait_none(), stop=stop_after_attempt(30))
    )
    async with invoker.map(
        "echo", range(300), concurrency=20, idempotent=True, retry=stubborn
    ) as run:
        async for outcome in run:
            seen[outcome.unwrap().json()] += 1
            attempts += len(outcome.attempts)
    there = local.statistics()
    assert seen == Counter(range(300))
    assert there.invocations == attempts == 300 + there.faults
    assert there.faults > 20


@pytest.mark.parametrize(
    ("step", "options", "message"),
    [
        ("Reset", {}, "step 'Reset' must be one of"),
        (Reset(), {"count": 0}, "count=0 must be"),
        (Reset(), {"count": True}, "count=True must be"),
        (Reset(), {"probability": 0}, "probability=0 must be"),
        (Reset(), {"probability": 1.5}, "probability=1.5 must be"),
        (Reset(), {"probability": "half"}, "probability='half' must be"),
        (Reset(), {"probability": math.nan}, "probability=nan must be"),
        (Reset(), {"seed": None}, "seed=None must be"),
        (Reset(), {"function_name": "echo:live"}, "function_name='echo:live' must be a bare name"),
        (Reset(), {"function_name": ARN}, "must be a bare name, such as 'echo'"),
        (Reset(), {"function_name": 7}, "function_name=7 must be a bare name"),
        (Answer(), {"after_run": True}, "after_run=True does not apply"),
        (stream(b"x"), {"after_run": True}, "after_run=True does not apply"),
        (Reset(read=False), {"after_run": True}, "after_run=True does not apply"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_by_name(
    step: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LocalLambda().fault(step, **options)


async def code(invoker: Invoker, name: str) -> int | None:
    """Invoke once and return the status."""
    try:
        return (await invoker.invoke(name, 1, retry=RetryPolicy.never())).status_code
    except (ThrottledError, ServiceError) as caught:
        return caught.status_code
