"""Limits and the counters, over real HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from asyncinvoke.local import LocalLambda
from tests.doubles.handlers import echo, until

pytestmark = pytest.mark.anyio

ACCOUNT = {
    "Reason": "ConcurrentInvocationLimitExceeded",
    "Type": "User",
    "message": "Rate Exceeded.",
}
RESERVED = ACCOUNT | {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"}
CODE = "TooManyRequestsException"


@asynccontextmanager
async def two_held(local: LocalLambda, invoke: Any, gate: Any) -> AsyncIterator[None]:
    """Keep two executions of `held` in flight until the gate is opened, with `echo` beside them."""
    local.function("held", gate)
    local.function("echo", echo)
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(invoke, "held")
        await until(lambda: local.statistics().in_flight == 2)
        yield


async def test_the_call_over_the_accounts_limit_is_throttled(
    local: LocalLambda, invoke: Any, gate: Any
) -> None:
    local.account_concurrency = 2
    async with two_held(local, invoke, gate):
        reply = await invoke("echo")
        assert reply.error == (429, CODE, ACCOUNT)
        assert reply.body == (
            b'{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User",'
            b'"message":"Rate Exceeded."}'
        )
        assert "retry-after" not in reply.headers
        gate.open()
    assert (await invoke("echo")).status == 200
    assert local.statistics().peak_in_flight == 2


async def test_a_reserve_limits_its_function_and_is_kept_from_the_others(
    local: LocalLambda, invoke: Any, gate: Any
) -> None:
    local.account_concurrency = 2
    reserved = local.function("held", gate, reserved_concurrency=1)
    local.function("shared", gate)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(invoke, "held")
        tasks.start_soon(invoke, "shared")
        await until(lambda: local.statistics().in_flight == 2)
        assert (await invoke("held")).error == (429, CODE, RESERVED)
        assert (await invoke("shared")).error == (429, CODE, ACCOUNT)
        gate.open()
    reserved.reserved_concurrency = 0
    assert (await invoke("held")).error == (429, CODE, RESERVED)
    reserved.reserved_concurrency = None
    assert (await invoke("held")).status == 200


async def test_limits_can_be_changed_while_calls_run(
    local: LocalLambda, invoke: Any, gate: Any
) -> None:
    local.function("held", gate)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(invoke, "held")
        await until(lambda: local.statistics().in_flight == 1)
        local.account_concurrency = 1
        assert (await invoke("held")).status == 429
        local.account_concurrency = 2
        tasks.start_soon(invoke, "held")
        await until(lambda: local.statistics().in_flight == 2)
        gate.open()


async def test_a_limit_may_be_set_from_any_thread(local: LocalLambda, invoke: Any) -> None:
    limited = local.function("limited", echo, reserved_concurrency=0)

    def let(event: Any, context: Any) -> None:
        limited.reserved_concurrency = event

    local.function("let", let)
    assert (await invoke("limited")).status == 429
    await invoke("let", b"1")
    assert (await invoke("limited")).status == 200


async def test_the_callers_rate_comes_before_everything_else(
    local: LocalLambda, invoke: Any
) -> None:
    local.function("echo", echo)
    local.caller_rate = 0.01
    assert (await invoke("echo")).status == 200
    throttled = {
        "Reason": "CallerRateLimitExceeded",
        "Type": "User",
        "message": "Rate exceeded",
    }
    assert (await invoke("echo", Invocation_Type="Event")).error == (429, CODE, throttled)
    assert (await invoke("no/name")).error == (429, CODE, throttled)
    local.caller_rate = None
    assert (await invoke("echo")).status == 200
    assert local.statistics().throttles == {"CallerRateLimitExceeded": 2}


@pytest.mark.parametrize(
    ("reserve", "reason"),
    [
        (1, "ReservedFunctionInvocationRateLimitExceeded"),
        (None, "FunctionInvocationRateLimitExceeded"),
    ],
)
async def test_a_functions_rate_is_limited_on_demand(
    local: LocalLambda, invoke: Any, reserve: int | None, reason: str
) -> None:
    local.account_concurrency = 1
    local.function("echo", echo, reserved_concurrency=reserve)
    for _ in range(11):
        assert (await invoke("echo")).status == 200
    local.limit_request_rate = True
    replies = [await invoke("echo") for _ in range(10)]
    assert {reply.status for reply in replies} == {200}
    with anyio.fail_after(20):
        while (reply := await invoke("echo")).status == 200:
            pass
    assert reply.error == (429, CODE, ACCOUNT | {"Reason": reason})


async def test_a_function_gains_environments_slowly_on_demand(
    local: LocalLambda, invoke: Any, gate: Any
) -> None:
    local.scaling_rate = 2
    async with two_held(local, invoke, gate):
        assert (await invoke("held")).error == (429, CODE, ACCOUNT)
        assert (await invoke("echo")).status == 200
        gate.open()
    assert (await invoke("held")).status == 200


async def test_every_request_is_counted_once_for_its_function_and_in_total(
    local: LocalLambda, invoke: Any
) -> None:
    async def fail(event: Any, context: Any) -> None:
        raise ValueError

    local.function("fail", fail)
    local.function("none", echo, reserved_concurrency=0)
    local.function("idle", echo)
    for name in ("fail", "fail", "none", "unknown"):
        await invoke(name)
    await invoke("fail", b"{")
    await invoke("none", Invocation_Type="DryRun")

    total = local.statistics()
    assert (total.invocations, total.executions, total.function_errors) == (6, 2, 2)
    assert total.throttles == {RESERVED["Reason"]: 1}
    assert (total.in_flight, total.peak_in_flight, total.cold_starts) == (0, 1, 0)
    fail_, none, idle = (total.functions[name] for name in ("fail", "none", "idle"))
    assert (fail_.invocations, fail_.executions, fail_.function_errors) == (3, 2, 2)
    assert (none.invocations, none.executions, none.throttles) == (2, 0, total.throttles)
    assert (idle.invocations, idle.executions, idle.throttles) == (0, 0, {})
