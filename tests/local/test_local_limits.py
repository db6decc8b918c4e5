"""Limits, the Event queue and the counters, over real HTTP."""

from typing import Any

import anyio
import pytest

from asyncinvoke.local import LocalLambda

pytestmark = pytest.mark.anyio

ACCOUNT = {
    "Reason": "ConcurrentInvocationLimitExceeded",
    "Type": "User",
    "message": "Rate Exceeded.",
}
RESERVED = ACCOUNT | {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"}
CODE = "TooManyRequestsException"


async def echo(event: Any, context: Any) -> Any:
    return event


async def test_the_call_over_the_accounts_limit_is_throttled(
    local: LocalLambda, invoke: Any, gate: Any, until: Any
) -> None:
    local.account_concurrency = 2
    local.function("held", gate)
    local.function("echo", echo)
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(invoke, "held")
        await until(lambda: local.statistics().in_flight == 2)
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
    local: LocalLambda, invoke: Any, gate: Any, until: Any
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
    local: LocalLambda, invoke: Any, gate: Any, until: Any
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


async def test_events_are_never_throttled_but_wait_for_a_permit(
    local: LocalLambda, invoke: Any, gate: Any, until: Any
) -> None:
    function = local.function("held", gate, reserved_concurrency=0)
    for number in range(5):
        assert (await invoke("held", str(number), Invocation_Type="Event")).status == 202
    assert gate.events == []
    function.reserved_concurrency = 2
    await until(lambda: len(gate.events) == 2)
    gate.open()
    await until(lambda: local.statistics().executions == 5 and not local.statistics().in_flight)
    assert sorted(gate.events) == [0, 1, 2, 3, 4]
    assert local.statistics().peak_in_flight == 2
    assert local.statistics().throttles == {}


async def test_a_limit_may_be_set_from_any_thread(
    local: LocalLambda, invoke: Any, gate: Any, until: Any
) -> None:
    held = local.function("held", gate, reserved_concurrency=0)

    def let(event: Any, context: Any) -> None:
        held.reserved_concurrency = event

    local.function("let", let)
    await invoke("held", Invocation_Type="Event")
    await invoke("let", b"1")
    await until(lambda: len(gate.events) == 1)


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
