"""The invoker against a local endpoint that runs real handlers, on both event loops."""

import gc
import math
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpxsession import HttpxSession
from aiobotocore.session import AioSession
from tenacity import stop_never, wait_random

from asyncinvoke import (
    Backoff,
    ConfigurationError,
    DeadlineExceededError,
    Delivery,
    FixedLimit,
    FunctionError,
    InvalidRequestError,
    Invoker,
    RejectedError,
    Request,
    RetryPolicy,
    ThrottledError,
    ThrottleReason,
    ThrottleScope,
)
from asyncinvoke.local import Answer, LocalLambda, Stall
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.doubles.waiting import LONGER

SESSION = AioSession()  # keeps the service model, which is slow to load
SOON = RetryPolicy(throttled=Backoff(wait=wait_random(0.01, 0.05), stop=stop_never))


Opened = Callable[..., Invoker]


@pytest.fixture
def opened(transport: str) -> Opened:
    """Return a factory of invokers for an endpoint's URL, for each transport."""

    def make(url: str, **options: Any) -> Invoker:
        return Invoker(session=SESSION, endpoint_url=url, transport=transport, **options)  # type: ignore[arg-type]

    return make


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not condition():
            await anyio.sleep(0.005)


class Gate:
    """A handler that waits until it is opened; the endpoint may run it in another thread's loop."""

    def __init__(self) -> None:
        self._open = threading.Event()

    async def __call__(self, event: Any, context: Any) -> Any:
        while not self._open.is_set():
            await anyio.sleep(0.005)
        return event

    def open(self) -> None:
        self._open.set()


def echo(event: Any, context: Any) -> Any:
    return event


def describe(event: Any, context: Any) -> Any:
    return {
        "event": event,
        "arn": context.invoked_function_arn,
        "request_id": context.aws_request_id,
        "custom": context.client_context.custom if context.client_context else None,
        "tenant_id": context.tenant_id,
    }


def fail(event: Any, context: Any) -> None:
    raise KeyError(event)


@pytest.fixture
async def local() -> AsyncIterator[LocalLambda]:
    async with LocalLambda() as local:
        local.function("echo", echo)
        local.function("describe", describe)
        local.function("fail", fail)
        yield local


@pytest.mark.anyio
async def test_an_invocation_brings_back_what_the_function_returned(
    local: LocalLambda, opened: Opened
) -> None:
    async with opened(local.url) as invoker:
        response = await invoker.invoke(
            "describe",
            {"key": "\u00e9"},
            log_type="Tail",
            client_context={"custom": {"a": "b"}},
            tenant_id="blue",
        )
    body = response.json()
    assert body["event"] == {"key": "\u00e9"}
    assert body["request_id"] == response.request_id
    assert body["custom"] == {"a": "b"}
    assert body["tenant_id"] == "blue"
    assert (response.status_code, response.executed_version) == (200, "$LATEST")
    assert response.log_result is not None
    assert f"START RequestId: {response.request_id}" in response.log_result
    assert [attempt.number for attempt in response.attempts] == [1]
    assert response.attempts[0].elapsed > 0


@pytest.mark.anyio
async def test_a_function_is_found_by_every_form_of_its_name(
    local: LocalLambda, opened: Opened
) -> None:
    async with opened(local.url) as invoker:
        for name in (
            "echo",
            "echo:$LATEST",
            "function:echo",
            "123456789012:function:echo",
            "arn:aws:lambda:us-east-1:123456789012:function:echo",
            "arn:aws:lambda:us-east-1:123456789012:function:echo:$LATEST",
        ):
            assert (await invoker.invoke(name, 7)).json() == 7
        assert (await invoker.invoke("echo", 7, qualifier="$LATEST")).json() == 7


@pytest.mark.anyio
async def test_nothing_and_bytes_are_sent_as_they_are(local: LocalLambda, opened: Opened) -> None:
    async with opened(local.url) as invoker:
        assert (await invoker.invoke("echo")).json() == {}
        assert (await invoker.invoke("echo", b'{"raw":1}')).json() == {"raw": 1}
        assert (await invoker.invoke("echo", "x" * 500_000)).json() == "x" * 500_000


@pytest.mark.anyio
async def test_a_codec_of_the_callers_own_is_used(local: LocalLambda, opened: Opened) -> None:
    async with opened(
        local.url, encode=lambda value: b"[%d]" % value, decode=lambda body: body.decode()
    ) as invoker:
        assert (await invoker.invoke("echo", 7)).json() == "[7]"


@pytest.mark.anyio
async def test_an_event_is_accepted_and_run_later(local: LocalLambda, opened: Opened) -> None:
    async with opened(local.url) as invoker:
        response = await invoker.send_event("echo", {"n": 1})
        assert (response.status_code, response.payload, response.executed_version) == (
            202,
            b"",
            None,
        )
        assert response.json() is None
        await until(lambda: local.statistics().executions == 1)


@pytest.mark.anyio
async def test_a_dry_run_runs_nothing(local: LocalLambda, opened: Opened) -> None:
    async with opened(local.url) as invoker:
        assert (await invoker.dry_run("echo", {"n": 1})).status_code == 204
        with pytest.raises(RejectedError) as raised:
            await invoker.dry_run("nobody")
    assert raised.value.code == "ResourceNotFoundException"
    assert (local.statistics().invocations, local.statistics().executions) == (2, 0)


@pytest.mark.anyio
async def test_a_function_that_raises_is_an_error_or_a_response(
    local: LocalLambda, opened: Opened
) -> None:
    async with opened(local.url) as invoker:
        with pytest.raises(FunctionError) as raised:
            await invoker.invoke("fail", "x", log_type="Tail")
        error = raised.value
        assert (error.error_type, error.error_message) == ("KeyError", "'x'")
        assert error.stack_trace
        assert error.delivery is Delivery.EXECUTED
        assert error.response.log_result
        response = await invoker.invoke("fail", "x", raise_on_function_error=False)
        assert response.function_error == "Unhandled"
        assert response.json()["errorType"] == "KeyError"
    assert local.statistics().executions == 2


@pytest.mark.anyio
async def test_a_handle_binds_a_function_and_its_options(
    local: LocalLambda, opened: Opened
) -> None:
    async with opened(local.url) as invoker:
        describe = invoker.function("describe", log_type="Tail", tenant_id="blue")
        assert repr(describe).startswith("<Function describe of <Invoker open")
        response = await describe({"n": 1})
        assert response.json()["tenant_id"] == "blue"
        assert response.log_result
        response = await describe(tenant_id="green", log_type="None")
        assert response.json()["tenant_id"] == "green"
        assert response.log_result is None
        assert (await describe.send_event({"n": 2})).status_code == 202
        assert (await describe.dry_run()).status_code == 204
        async with describe.map([1, 2], ordered=True, tenant_id="red") as run:
            bodies = [outcome.unwrap().json() async for outcome in run]
        assert [(body["event"], body["tenant_id"]) for body in bodies] == [(1, "red"), (2, "red")]


@pytest.mark.anyio
async def test_a_map_gives_one_outcome_for_each_payload(local: LocalLambda, opened: Opened) -> None:
    payloads: list[object] = [
        1,
        Request(payload=2, function_name="fail"),
        {3},
        Request(payload=4, function_name="nobody", key="own"),
        Request(payload=5, invocation_type="Event"),
        6,
    ]
    async with (
        opened(local.url) as invoker,
        invoker.map("echo", payloads, ordered=True, key=str) as run,
    ):
        outcomes = [outcome async for outcome in run]
        assert run.statistics().succeeded == 3
    assert [type(outcome.error) for outcome in outcomes] == [
        type(None),
        FunctionError,
        InvalidRequestError,
        RejectedError,
        type(None),
        type(None),
    ]
    assert [outcome.key for outcome in outcomes] == ["1", "2", "{3}", "own", "5", "6"]
    assert outcomes[4].unwrap().status_code == 202


@pytest.mark.anyio
async def test_the_counts_of_the_invoker_are_those_of_the_endpoint(opened: Opened) -> None:
    gate = Gate()
    async with LocalLambda(account_concurrency=2) as local:
        local.function("gate", gate)
        async with (
            opened(local.url, limit=FixedLimit(3), retry=SOON) as invoker,
            anyio.create_task_group() as group,
        ):
            for number in range(6):
                group.start_soon(invoker.invoke, "gate", number)
            await until(lambda: sum(invoker.statistics().throttles.values()) > 3)
            now = invoker.statistics()
            assert now.limit == 3
            assert 2 <= now.in_flight <= 3
            assert now.in_flight + now.waiting <= 6
            assert f"{now.in_flight}/3 in flight" in repr(invoker)
            gate.open()
        after, there = invoker.statistics(), local.statistics()
    assert (after.in_flight, after.waiting, after.calls) == (0, 0, 6)
    assert after.attempts == there.invocations == 6 + after.retries
    assert dict(after.throttles) == {
        ThrottleReason(reason): number for reason, number in there.throttles.items()
    }
    assert there.executions == 6
    assert repr(invoker) == (
        f"<Invoker closed, 0/3 in flight, 0 waiting, {after.attempts} attempts>"
    )


@pytest.mark.anyio
async def test_as_many_attempts_are_in_flight_as_the_limit_says_and_no_more(opened: Opened) -> None:
    gate = Gate()
    async with LocalLambda() as local:
        local.function("gate", gate, timeout=60)
        async with (
            opened(local.url, limit=FixedLimit(30)) as invoker,
            anyio.create_task_group() as group,
        ):
            for number in range(60):
                group.start_soon(invoker.invoke, "gate", number)
            await until(lambda: local.statistics().in_flight == 30)
            statistics = invoker.statistics()
            assert (statistics.in_flight, statistics.waiting) == (30, 30)
            gate.open()
        assert local.statistics().peak_in_flight == 30
        assert local.statistics().executions == 60


def client_sockets(port: int) -> list[socket.socket]:
    """Find all connections of this process to a port."""
    found = []
    for thing in gc.get_objects():
        if type(thing) is socket.socket and thing.fileno() != -1:
            try:
                peer = thing.getpeername()
            except OSError:
                continue
            if isinstance(peer, tuple) and peer[1] == port:
                found.append(thing)
    return found


@pytest.mark.parametrize("config", [None, AioConfig(read_timeout=30)])
@pytest.mark.anyio
async def test_keep_alive_is_on_at_the_socket(
    local: LocalLambda, config: object, opened: Opened
) -> None:
    port = urlsplit(local.url).port
    assert port is not None
    async with opened(local.url, config=config) as invoker:
        await invoker.invoke("echo", 1)
        connections = client_sockets(port)
        assert len(connections) == 1
        assert connections[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if hasattr(socket, "TCP_KEEPIDLE"):
            idle = connections[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            assert 0 < idle < 350
    del connections
    assert client_sockets(port) == []


@pytest.mark.anyio
async def test_the_answer_is_read_while_the_permit_is_held(opened: Opened) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
    async with FaultEndpoint() as endpoint:
        endpoint.script("f", Stall(sent=half))
        async with opened(endpoint.url) as invoker, anyio.create_task_group() as group:
            group.start_soon(invoker.invoke, "f")
            await until(lambda: endpoint.deliveries("f") == 1)
            await anyio.wait_all_tasks_blocked()
            assert invoker.statistics().in_flight == 1
            group.cancel_scope.cancel()
        assert invoker.statistics().in_flight == 0


@pytest.mark.anyio
async def test_a_client_of_the_callers_own_is_used_and_not_closed(
    local: LocalLambda, anyio_backend: str, transport: Any
) -> None:
    config = AioConfig(
        retries={"total_max_attempts": 1},
        max_pool_connections=7,
        **({"http_session_cls": HttpxSession} if anyio_backend == "trio" else {}),
    )
    async with SESSION.create_client("lambda", endpoint_url=local.url, config=config) as client:
        async with Invoker(client, transport=transport) as invoker:
            assert invoker.statistics().limit == 7
            assert (await invoker.invoke("echo", 1)).json() == 1
        answer = await client.invoke(FunctionName="echo", Payload=b"2")
        assert await answer["Payload"].read() == b"2"
        async with Invoker(client, limit=3, transport=transport) as invoker:
            assert invoker.statistics().limit == 3
            assert (await invoker.invoke("echo", 3)).json() == 3


@pytest.mark.anyio
async def test_a_pool_size_in_the_config_bounds_the_attempts_in_flight(
    local: LocalLambda, transport: Any
) -> None:
    options: dict[str, Any] = {"endpoint_url": local.url, "transport": transport}
    for size, limit, expected in ((7, 1000, 7), (7, 3, 3), (None, 30, 30)):
        given = {} if size is None else {"max_pool_connections": size}
        config = AioConfig(read_timeout=9, **given)
        invoker = Invoker(config=config, limit=limit, **options)
        assert invoker.statistics().limit == expected
        async with invoker:
            assert invoker.statistics().limit == expected
            assert (await invoker.invoke("echo", 1)).json() == 1


@pytest.mark.parametrize("size", [0, -1, 1.5, "7", True])
def test_an_invalid_pool_size_in_the_config_is_named(size: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"max_pool_connections .* must be a whole number"):
        Invoker(config=AioConfig(max_pool_connections=size))


@pytest.mark.anyio
async def test_a_throttled_fan_out_loses_nothing(opened: Opened) -> None:
    async with LocalLambda(account_concurrency=5) as local:

        async def slow(event: Any, context: Any) -> Any:
            await anyio.sleep(0.01)
            return event

        local.function("slow", slow)
        async with (
            opened(local.url, limit=20) as invoker,
            invoker.map("slow", range(60), retry=SOON) as run,
        ):
            outcomes = [outcome async for outcome in run]
        there = local.statistics()
    assert sorted(outcome.unwrap().json() for outcome in outcomes) == list(range(60))
    assert sorted(outcome.index for outcome in outcomes) == list(range(60))
    assert there.executions == 60
    assert there.throttles == {"ConcurrentInvocationLimitExceeded": sum(there.throttles.values())}
    assert there.invocations == sum(len(outcome.attempts) for outcome in outcomes) > 60
    assert there.invocations == invoker.statistics().attempts
    ended = Counter(attempt.kind for outcome in outcomes for attempt in outcome.attempts)
    assert ended == {None: 60, "throttled": there.invocations - 60}


@pytest.mark.anyio
async def test_a_throttled_item_gives_back_its_permit(local: LocalLambda, opened: Opened) -> None:
    local.function("closed", echo, reserved_concurrency=0)
    patient = RetryPolicy(throttled=Backoff(wait=lambda state: 3600, stop=stop_never))
    async with opened(local.url, limit=1) as invoker, anyio.create_task_group() as group:

        async def parked() -> None:
            await invoker.invoke("closed", retry=patient)

        group.start_soon(parked)
        await until(lambda: local.statistics().functions["closed"].invocations == 1)
        with anyio.fail_after(20):
            assert (await invoker.invoke("echo", 1)).json() == 1
        assert local.statistics().functions["closed"].invocations == 1
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_throttle_names_its_limit(local: LocalLambda, opened: Opened) -> None:
    local.function("closed", echo, reserved_concurrency=0)
    async with opened(local.url, retry=RetryPolicy.never()) as invoker:
        with pytest.raises(ThrottledError) as raised:
            await invoker.invoke("closed")
    error = raised.value
    assert error.reason is ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED
    assert error.scope is ThrottleScope.FUNCTION
    assert error.delivery is Delivery.REJECTED
    assert len(error.attempts) == local.statistics().invocations == 1


@pytest.mark.anyio
async def test_a_deadline_ends_an_execution_and_leaves_the_pool_healthy(
    local: LocalLambda, opened: Opened
) -> None:
    local.function("gate", Gate(), timeout=60)
    async with opened(local.url, limit=1, timeout=0.2) as invoker:
        for timeout in LONGER:
            with pytest.raises(DeadlineExceededError) as raised:
                await invoker.invoke("gate", timeout=timeout)
            if local.statistics().invocations:
                break
        assert raised.value.delivery is Delivery.UNKNOWN
        with pytest.raises(DeadlineExceededError):
            await invoker.invoke("gate")
        for number in range(3):
            response = await invoker.invoke("echo", number, timeout=math.inf)
            assert response.json() == number
        assert invoker.statistics().in_flight == 0


@pytest.mark.anyio
async def test_a_cancelled_attempt_leaves_the_pool_healthy(
    local: LocalLambda, opened: Opened
) -> None:
    local.function("gate", Gate(), timeout=60)
    async with opened(local.url, limit=1) as invoker:
        for number in range(3):
            async with anyio.create_task_group() as group:
                group.start_soon(invoker.invoke, "gate")
                await until(lambda: invoker.statistics().in_flight == 1)
                group.cancel_scope.cancel()
            assert (await invoker.invoke("echo", number)).json() == number


@pytest.mark.anyio
async def test_leaving_a_map_early_leaves_no_permit_and_no_socket_behind(opened: Opened) -> None:
    gate = Gate()
    async with LocalLambda() as local:
        local.function("gate", gate, timeout=60)
        local.function("echo", echo)
        port = urlsplit(local.url).port
        assert port is not None
        async with opened(local.url, limit=10) as invoker:
            payloads = [Request(payload=0, function_name="echo"), *range(100)]
            async with invoker.map("gate", payloads) as run:
                await anext(run)
                await until(lambda: local.statistics().in_flight == 10)
                assert len(client_sockets(port)) >= 10
            statistics = invoker.statistics()
            assert (statistics.in_flight, statistics.waiting) == (0, 0)
            # Connections of unfinished attempts are closed; at most that of echo is kept for reuse.
            await until(lambda: len(client_sockets(port)) <= 1)
            assert (await invoker.invoke("echo", 1)).json() == 1
        gate.open()


@pytest.mark.anyio
async def test_an_invoker_can_be_opened_again(local: LocalLambda, opened: Opened) -> None:
    invoker = opened(local.url)
    for number in range(2):
        async with invoker:
            assert (await invoker.invoke("echo", number)).json() == number
    assert invoker.statistics().attempts == 2


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
@pytest.mark.anyio
async def test_retries_asked_for_in_the_environment_are_not_made_by_the_sdk(
    monkeypatch: pytest.MonkeyPatch, mode: str, transport: Any
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    monkeypatch.setenv("AWS_RETRY_MODE", mode)
    async with FaultEndpoint() as endpoint:
        endpoint.script("f", *[Answer(status_code=500, payload=b"")] * 5)
        async with Invoker(
            endpoint_url=endpoint.url, retry=RetryPolicy.never(), transport=transport
        ) as invoker:
            with pytest.raises(Exception, match="500"):
                await invoker.invoke("f")
        assert endpoint.deliveries("f") == 1
