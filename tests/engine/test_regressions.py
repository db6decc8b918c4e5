"""Regressions: each test names behaviour that was once wrong."""

import math
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tenacity import RetryCallState, stop_never, wait_fixed

from asyncinvoke import (
    Backoff,
    ConfigurationError,
    Delivery,
    FunctionError,
    InvalidRequestError,
    InvocationError,
    Invoker,
    Outcome,
    Request,
    Response,
    RetryPolicy,
    TransportError,
)
from asyncinvoke._engine.item import ItemWork
from asyncinvoke._engine.map_block import open_run
from asyncinvoke._engine.waits import Brake, guarded
from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._request.target import Target
from asyncinvoke._retries.classify import parse_retry_after
from asyncinvoke._transport.http_sessions import keepalive_socket
from asyncinvoke._transport.session import _merge
from asyncinvoke.local import Answer
from tests.doubles.engine import (
    FAILED,
    OK,
    THROTTLED,
    FakeClock,
    ScriptedEngine,
    StuckClock,
    call,
    engine,
    every,
    item_work,
)
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.doubles.waiting import settle


def work_of(scripted: ScriptedEngine, retry: RetryPolicy) -> ItemWork:
    return item_work(scripted, {"retry": retry})


async def forever(index: int, item: object) -> Outcome:
    await anyio.sleep_forever()
    raise AssertionError


# model


def test_a_function_named_arn_can_be_called_with_an_alias() -> None:
    target = Target(name="arn", qualifier="live")
    assert Target.parse(str(target)) == target


def test_a_qualifier_written_behind_the_name_is_at_most_128_characters_too() -> None:
    with pytest.raises(InvalidRequestError, match="128"):
        Target.parse("resize:" + "q" * 129)


@pytest.mark.parametrize(
    "name",
    [
        "\u0661" * 12 + ":function:resize",
        "arn:aws:lambda:eu-west-\u0661:123456789012:function:resize",
    ],
)
def test_digits_are_those_of_ascii(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        Target.parse(name)


# policy


@pytest.fixture
def _far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.pop("TZ", None)
    time.tzset()


@pytest.mark.usefixtures("_far_from_greenwich")
def test_a_date_without_a_zone_is_greenwich_time_wherever_the_caller_lives() -> None:
    # RFC 9110 requires recipients to accept the asctime form, which has no zone.
    now = 784_111_777.0
    assert parse_retry_after("Sun Nov  6 08:49:47 1994", None, now=now) == 10.0


@pytest.mark.parametrize("value", ["60", None, [1]])
def test_a_longest_hint_that_is_no_number_is_an_error_of_one_line(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_retry_after"):
        RetryPolicy(max_retry_after=value)


# transport


def test_connector_arguments_of_the_caller_do_not_switch_keep_alive_off() -> None:
    from aiobotocore.config import AioConfig

    async def merged() -> Any:
        return _merge(AioConfig(connector_args={"keepalive_timeout": 5.0}), 10)

    config = anyio.run(merged)
    assert config.connector_args["keepalive_timeout"] == 5.0
    session = config.http_session_cls(connector_args=config.connector_args)
    assert session._connector_args == {
        "keepalive_timeout": 5.0,
        "socket_factory": keepalive_socket,
    }


@pytest.mark.anyio
async def test_a_payload_of_two_megabytes_is_sent_without_a_warning(transport: Any) -> None:
    # aiohttp warns about bytes beyond 1 MiB; where warnings are errors, nothing is sent.
    async with (
        FaultEndpoint() as endpoint,
        Invoker(endpoint_url=endpoint.url, transport=transport) as invoker,
    ):
        assert (await invoker.invoke("f", b"x" * 2_000_000)).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("status_code", [307, 308, 302])
async def test_a_redirect_is_an_answer_and_is_not_followed(
    status_code: int, transport: Any
) -> None:
    async with (
        FaultEndpoint() as endpoint,
        Invoker(endpoint_url=endpoint.url, transport=transport) as invoker,
    ):
        elsewhere = f"{endpoint.url}/2015-03-31/functions/g/invocations"
        endpoint.script(
            "f", Answer(status_code=status_code, payload=b"", headers={"Location": elsewhere})
        )
        with pytest.raises(InvocationError) as raised:
            await invoker.invoke("f", {"secret": 1})
        assert raised.value.status_code == status_code
        assert (endpoint.deliveries("f"), endpoint.deliveries("g")) == (1, 0)


@pytest.mark.anyio
async def test_a_request_that_botocore_refuses_to_build_was_not_sent(
    monkeypatch: pytest.MonkeyPatch, transport: Any
) -> None:
    # As if the installed service model did not know an option yet.
    def unknown(*_: object) -> dict[str, Any]:
        return {"FunctionName": "f", "BrandNew": 1}

    monkeypatch.setattr("asyncinvoke._transport.client.client_arguments", unknown)
    monkeypatch.setattr("asyncinvoke._transport.sdk_request.arguments_of", unknown)
    async with (
        FaultEndpoint() as endpoint,
        Invoker(endpoint_url=endpoint.url, transport=transport) as invoker,
    ):
        with pytest.raises(InvocationError) as raised:
            await invoker.invoke("f")
        assert endpoint.deliveries("f") == 0
    assert raised.value.delivery is Delivery.NOT_SENT


@pytest.mark.anyio
async def test_an_invalid_session_is_refused_in_one_line() -> None:
    import botocore.session

    with pytest.raises(ConfigurationError, match="session"):
        async with Invoker(session=botocore.session.get_session()):
            pass


@pytest.mark.anyio
async def test_an_empty_function_error_header_means_no_error(transport: Any) -> None:
    async with (
        FaultEndpoint() as endpoint,
        Invoker(endpoint_url=endpoint.url, transport=transport) as invoker,
    ):
        endpoint.script("f", Answer(headers={"X-Amz-Function-Error": ""}))
        assert (await invoker.invoke("f")).function_error is None


# engine


@pytest.mark.anyio
async def test_the_response_of_a_function_error_has_its_attempts() -> None:
    ended = await engine(FAILED).execute(call(), b"")
    assert isinstance(ended, FunctionError)
    assert ended.response.attempts == ended.attempts


@pytest.mark.anyio
async def test_a_retry_is_counted_when_it_is_started() -> None:
    clock = StuckClock()
    scripted = engine(THROTTLED, clock=clock)
    policy = every(Backoff(wait=wait_fixed(1), stop=stop_never))
    async with anyio.create_task_group() as group:
        group.start_soon(scripted.execute, call(policy), b"")
        await clock.asleep.wait()
        assert (scripted.tally.attempts, scripted.tally.retries) == (1, 0)
        group.cancel_scope.cancel()


NO_FILE = Failure(fault=TransportFault.FILES, phase=Phase.CONNECTING)


@pytest.mark.anyio
async def test_a_retry_without_a_permit_is_not_counted() -> None:
    clock = FakeClock()
    scripted = engine(THROTTLED, OK, clock=clock)
    policy = every(Backoff(wait=wait_fixed(1), stop=stop_never))

    async def close_and_sleep(seconds: float) -> None:
        scripted.limiter.close()

    clock.sleep = close_and_sleep  # type: ignore[method-assign]  # the limiter closes meanwhile
    ended = await scripted.execute(call(policy), b"")
    assert isinstance(ended, TransportError)
    assert (scripted.tally.attempts, scripted.tally.retries) == (1, 0)


@pytest.mark.anyio
async def test_neither_a_retry_without_a_descriptor_nor_its_attempt_is_counted() -> None:
    gone = anyio.Event()

    async def lasting() -> Any:
        await gone.wait()
        return OK

    async def last() -> Any:
        gone.set()
        return OK

    scripted = engine(lasting, THROTTLED, NO_FILE, last, limit=2)
    wanted = call(every(Backoff(wait=wait_fixed(1), stop=stop_never)))
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(scripted.execute, wanted, b"")
            await settle()
            group.start_soon(scripted.execute, wanted, b"")
    assert len(scripted.script.sent) == 4
    assert (scripted.tally.attempts, scripted.tally.retries) == (3, 1)


@pytest.mark.anyio
async def test_a_pause_before_the_first_attempt_forgives_the_pause_and_not_the_wait_for_a_permit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripted = engine(OK, clock=StuckClock())
    clock, wanted = scripted.clock, call(timeout=10)
    deadlines: list[float] = []

    def progress(deadline: float) -> Progress:
        deadlines.append(deadline)
        return Progress(math.inf)

    monkeypatch.setattr(scripted.engine, "progress", progress)
    brake = Brake(scripted.limiter.withdraw)
    transport = guarded(scripted.script, scripted.waits)
    began = clock.now
    async with (
        anyio.create_task_group() as group,
        scripted.limiter.permit(wanted.key, deadline=math.inf),
    ):
        group.start_soon(scripted.engine.execute, transport, wanted, b"", brake)
        await settle()
        for waited, paused in [(6, 100), (1, 1000)]:
            clock.now += waited
            brake.pause()
            await settle()
            clock.now += paused
            brake.resume()
            await settle()
        clock.now += 2
    assert deadlines == [began + 10, began + 110, began + 1110]
    assert wanted.counts.latency == 6 + 1 + 2


@pytest.mark.anyio
async def test_an_interrupted_attempt_keeps_the_failure_before_it_as_its_cause() -> None:
    async def never_answer() -> Any:
        await anyio.sleep_forever()

    scripted = engine(THROTTLED, never_answer)
    policy = every(Backoff(wait=wait_fixed(0), stop=stop_never))
    ended = await scripted.execute(call(policy, timeout=0.3), b"")
    assert not isinstance(ended, Response)
    assert ended.__cause__ is not None


def broken_wait(state: RetryCallState) -> float:
    raise LookupError("mine")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "backoff",
    [
        Backoff(wait=broken_wait, stop=stop_never),
        Backoff(wait=wait_fixed(0), stop=stop_never, when=lambda error: error.nothing),  # type: ignore[attr-defined]
    ],
    ids=["wait", "when"],
)
async def test_an_error_of_the_callers_own_policy_is_never_an_exception_group(
    backoff: Backoff,
) -> None:
    scripted = engine(OK, THROTTLED, OK)
    raised: BaseException | None = None
    try:
        async with open_run(
            range(3), work_of(scripted, every(backoff)), concurrency=1, ordered=True
        ) as run:
            assert len([outcome async for outcome in run]) == 3
    except BaseException as error:
        raised = error
    assert not isinstance(raised, BaseExceptionGroup)


@pytest.mark.anyio
async def test_an_item_with_wrong_options_keeps_its_own_key() -> None:
    work = work_of(engine(), RetryPolicy())
    outcome = await work(0, Request(key="order-7", qualifier="a b"))
    assert not outcome.ok
    assert outcome.key == "order-7"


@pytest.mark.anyio
async def test_a_run_that_is_cancelled_does_not_look_complete() -> None:
    finished = False
    with anyio.CancelScope() as scope:
        async with open_run(range(9), forever, concurrency=2, ordered=False) as run:
            await settle()
            # As if a deadline expired while the caller processes an outcome.
            scope.cancel()
            async for _ in run:
                pass
            finished = True
    assert scope.cancelled_caught
    assert not finished


@pytest.mark.anyio
async def test_a_lowered_concurrency_holds_for_workers_that_wait_for_input() -> None:
    send, receive = anyio.create_memory_object_stream[int](20)
    gate = anyio.Event()
    working = 0

    async def work(index: int, item: object) -> Outcome:
        nonlocal working
        working += 1
        if item:
            await gate.wait()
        await anyio.lowlevel.checkpoint()
        working -= 1
        return Outcome(
            index=index, response=Response(status_code=200, payload=b""), started=0, elapsed=0
        )

    async def source() -> AsyncIterator[int]:
        async for item in receive:
            yield item

    with send, receive:
        async with open_run(source(), work, concurrency=6, ordered=False) as run:
            # Six workers start, and all wait for more input again.
            for _ in range(6):
                send.send_nowait(1)
            await settle()
            assert working == 6
            gate.set()
            await settle()
            assert working == 0
            run.set_concurrency(2)
            gate = anyio.Event()
            for _ in range(6):
                send.send_nowait(1)
            await settle()
            assert working == 2


# invoker


def test_a_handle_checks_its_name_and_its_defaults() -> None:
    invoker = Invoker()
    with pytest.raises(InvalidRequestError):
        invoker.function("no such name")
    with pytest.raises(InvalidRequestError):
        invoker.function("resize", qualifier="a b")
