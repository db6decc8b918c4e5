"""Response streams against a scripted endpoint: chunks, errors, retries, and released permits."""

import base64
import contextlib
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import anyio
import pytest
from aiobotocore.session import AioSession
from anyio import wait_all_tasks_blocked
from tenacity import stop_after_attempt, wait_none

import asyncinvoke
from asyncinvoke import (
    Backoff,
    DeadlineExceededError,
    Delivery,
    FixedLimit,
    FunctionError,
    GaveUp,
    InvalidRequestError,
    InvocationError,
    Invoker,
    NotReadyError,
    ResponseStream,
    RetryPolicy,
    ServiceError,
    ThrottledError,
    TransportError,
)
from asyncinvoke._engine import caller
from asyncinvoke.local import Answer, Close, Reset, Stall, Streamed, error, stream, throttle
from asyncinvoke.local.protocol import event_stream
from asyncinvoke.testing import InstantClock
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.doubles.waiting import LONGER

pytestmark = pytest.mark.anyio

ONE = event_stream.payload_chunk(b"one")
END = event_stream.invoke_complete()
DAMAGED = ONE[:-6] + bytes([ONE[-6] ^ 1]) + ONE[-5:]
SESSION = AioSession()  # keeps the service model, which is slow to load
DETAILS = {"errorType": "Busy", "errorMessage": "come back", "stackTrace": ["line 1"]}


@pytest.fixture
async def endpoint() -> AsyncIterator[FaultEndpoint]:
    async with FaultEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
async def invoker(endpoint: FaultEndpoint, transport: str) -> AsyncIterator[Invoker]:
    async with Invoker(
        session=SESSION,
        endpoint_url=endpoint.url,
        limit=FixedLimit(2),
        transport=transport,  # type: ignore[arg-type]
        clock=InstantClock(),
    ) as invoker:
        yield invoker
        assert invoker.statistics().in_flight == 0
        assert invoker.statistics().waiting == 0


async def collect(response: ResponseStream) -> list[bytes]:
    return [chunk async for chunk in response]


async def collect_into(
    chunks: list[bytes], opening: AbstractAsyncContextManager[ResponseStream]
) -> None:
    async with opening as response:
        async for chunk in response:
            chunks.append(chunk)


async def test_chunks_come_as_they_were_written(endpoint: FaultEndpoint, invoker: Invoker) -> None:
    log = base64.b64encode(b"END RequestId").decode()
    endpoint.script("f", stream(b"one", b"", b"\x00\xff", b"x" * 300_000, log_result=log))
    async with invoker.stream("f", {"n": 1}, qualifier="live", log_type="Tail") as response:
        assert response.status_code == 200
        assert response.executed_version == "$LATEST"
        assert response.content_type == event_stream.CONTENT_TYPE
        assert not response.attempts
        assert "open" in repr(response)
        assert await collect(response) == [b"one", b"\x00\xff", b"x" * 300_000]
        assert await collect(response) == []
    (request,) = endpoint.requests("f")
    assert request.target.qualifier == "live"
    assert request.payload == b'{"n":1}'
    assert request.headers["x-amz-log-type"] == "Tail"
    whole = response.response
    assert whole is not None
    assert whole.log_result == "END RequestId"
    assert whole.request_id == response.request_id is not None
    assert [attempt.number for attempt in response.attempts] == [1]
    assert "ended" in repr(response)


async def test_the_endpoint_without_a_script_streams_a_success(invoker: Invoker) -> None:
    async with invoker.stream("f") as response:
        assert await collect(response) == [b"null"]


async def test_a_stream_without_chunks_is_empty_and_no_error(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    endpoint.script("f", stream())
    async with invoker.stream("f") as response:
        assert await collect(response) == []


async def test_a_connection_is_kept_after_a_whole_stream(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    for _ in range(3):
        endpoint.script("f", stream(b"one"))
        async with invoker.stream("f") as response:
            await collect(response)
        await invoker.invoke("f")
    assert endpoint.connections == 1


@pytest.mark.parametrize(
    ("fault", "delivery"),
    [
        pytest.param(throttle(), Delivery.REJECTED, id="throttle"),
        pytest.param(error(409, "SnapStartNotReadyException"), Delivery.REJECTED, id="not ready"),
    ],
)
async def test_what_was_refused_is_repeated_until_the_first_chunk(
    endpoint: FaultEndpoint, invoker: Invoker, fault: Answer, delivery: Delivery
) -> None:
    endpoint.script("f", fault, fault, stream(b"one"))
    async with invoker.stream("f") as response:
        assert await collect(response) == [b"one"]
    assert endpoint.deliveries("f") == len(response.attempts) == 3
    assert [attempt.delivery for attempt in response.attempts] == [delivery, delivery, None]


LOST = [
    pytest.param(Close(), "ConnectionLost", TransportError, id="no answer"),
    pytest.param(Reset(), "ConnectionLost", TransportError, id="reset"),
    pytest.param(error(500, "ServiceException"), "ServiceException", ServiceError, id="500"),
    pytest.param(Streamed(ending="closed"), "TruncatedBody", TransportError, id="cut off"),
    pytest.param(Streamed(), "TruncatedBody", TransportError, id="nothing in it"),
    pytest.param(Streamed(frames=(DAMAGED,)), "ChecksumMismatch", TransportError, id="damaged"),
    pytest.param(
        Streamed(frames=(event_stream.exception("ServiceException", "oops"),)),
        "ServiceException",
        ServiceError,
        id="exception frame",
    ),
]


@pytest.mark.parametrize(("fault", "code", "raises"), LOST)
@pytest.mark.parametrize("idempotent", [False, True])
async def test_what_may_have_run_is_repeated_only_if_idempotent(
    endpoint: FaultEndpoint,
    invoker: Invoker,
    fault: Answer,
    code: str,
    raises: type[InvocationError],
    idempotent: bool,
) -> None:
    endpoint.script("f", fault, fault, stream(b"one"))
    if idempotent:
        async with invoker.stream("f", idempotent=True) as response:
            assert await collect(response) == [b"one"]
        assert endpoint.deliveries("f") == len(response.attempts) == 3
    else:
        with pytest.raises(raises) as raised:
            async with invoker.stream("f"):
                pytest.fail("a stream was given")
        assert raised.value.code == code
        assert raised.value.delivery is Delivery.UNKNOWN
        assert raised.value.gave_up is GaveUp.DELIVERY_UNKNOWN
        assert endpoint.deliveries("f") == len(raised.value.attempts) == 1


BROKEN = [
    pytest.param(Streamed(frames=(ONE,), ending="closed"), "TruncatedBody", id="closed"),
    pytest.param(Streamed(frames=(ONE,), ending="reset"), None, id="reset"),
    pytest.param(Streamed(frames=(ONE,)), "TruncatedBody", id="no InvokeComplete"),
    pytest.param(Streamed(frames=(ONE, END[:-1])), "TruncatedBody", id="half a frame"),
    pytest.param(Streamed(frames=(ONE, DAMAGED)), "ChecksumMismatch", id="damaged"),
    pytest.param(
        Streamed(frames=(ONE, event_stream.frame({":message-type": "news"}, b""))),
        "InvalidAnswer",
        id="unknown type",
    ),
    pytest.param(
        Streamed(
            frames=(
                ONE,
                event_stream.frame(
                    {":message-type": "event", ":event-type": "InvokeComplete"}, b"{"
                ),
            )
        ),
        "InvalidAnswer",
        id="bad end",
    ),
]


@pytest.mark.parametrize(("fault", "code"), BROKEN)
async def test_a_stream_that_breaks_off_is_an_error_and_never_repeated(
    endpoint: FaultEndpoint, invoker: Invoker, fault: Streamed, code: str | None
) -> None:
    endpoint.script("f", fault)
    async with invoker.stream("f", idempotent=True) as response:
        assert await anext(response) == b"one"
        with pytest.raises(TransportError) as raised:
            await anext(response)
        if code is not None:
            assert raised.value.code == code
        assert raised.value.delivery is Delivery.EXECUTED
        assert raised.value.gave_up is GaveUp.NOT_RETRYABLE
        assert raised.value.attempts == response.attempts
        assert len(response.attempts) == 1
        # Another read must not look like an end.
        with pytest.raises(TransportError):
            await anext(response)
    assert endpoint.deliveries("f") == 1
    assert response.response is None


async def test_an_exception_in_mid_stream_is_typed(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    endpoint.script("f", Streamed(frames=(ONE, event_stream.exception("ServiceException", "oops"))))
    with pytest.raises(ServiceError, match="oops") as raised:
        async with invoker.stream("f") as response:
            await collect(response)
    assert raised.value.code == "ServiceException"
    assert raised.value.delivery is Delivery.EXECUTED


@pytest.mark.parametrize("chunks", [(), (b"one",)])
@pytest.mark.parametrize("details", [json.dumps(DETAILS), "come back", None])
async def test_a_function_that_fails_is_a_function_error(
    endpoint: FaultEndpoint, invoker: Invoker, chunks: tuple[bytes, ...], details: str | None
) -> None:
    endpoint.script("f", stream(*chunks, error_code="Unhandled", error_details=details))
    taken: list[bytes] = []
    with pytest.raises(FunctionError) as raised:
        await collect_into(taken, invoker.stream("f", idempotent=True))
    assert tuple(taken) == chunks
    assert raised.value.function_error == "Unhandled"
    assert raised.value.error_type == ("Busy" if details and "Busy" in details else "Unhandled")
    assert raised.value.error_message == (details and "come back")
    assert raised.value.delivery is Delivery.EXECUTED
    assert raised.value.response is not None
    assert raised.value.response.attempts == raised.value.attempts
    assert endpoint.deliveries("f") == 1


@pytest.mark.parametrize("chunks", [(), (b"one",)])
async def test_a_function_error_can_be_returned_instead_of_raised(
    endpoint: FaultEndpoint, invoker: Invoker, chunks: tuple[bytes, ...]
) -> None:
    endpoint.script("f", stream(*chunks, error_code="Unhandled", error_details=json.dumps(DETAILS)))
    async with invoker.stream("f", raise_on_function_error=False) as response:
        assert tuple(await collect(response)) == chunks
    assert response.response is not None
    assert response.response.function_error == "Unhandled"
    assert response.response.json() == DETAILS
    assert response.status_code == 200
    assert len(response.attempts) == 1


async def test_a_function_error_is_repeated_before_the_first_chunk_where_the_policy_says_so(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    failing = stream(error_code="Unhandled")
    endpoint.script("f", failing, failing, stream(b"one", error_code="Unhandled"))
    policy = RetryPolicy(function=Backoff(wait=wait_none(), stop=stop_after_attempt(5)))
    with pytest.raises(FunctionError) as raised:
        async with invoker.stream("f", retry=policy, idempotent=True) as response:
            await collect(response)
    assert endpoint.deliveries("f") == len(raised.value.attempts) == 3


async def test_a_permit_is_held_until_the_stream_has_ended(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    endpoint.script("f", stream(b"one", b"two"), stream(b"one"))
    async with invoker.stream("f") as response:
        assert await anext(response) == b"one"
        assert invoker.statistics().in_flight == 1
        async with invoker.stream("f") as other:
            assert invoker.statistics().in_flight == 2
            await collect(other)
            assert invoker.statistics().in_flight == 1
        await collect(response)
        assert invoker.statistics().in_flight == 0


async def test_leaving_the_block_early_closes_the_connection_and_gives_back_the_permit(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    stalled = Streamed(frames=(ONE,), ending="stalled")
    endpoint.script("f", stalled, stalled, stalled)
    async with invoker.stream("f") as response:
        async for _ in response:
            break
    with pytest.raises(ZeroDivisionError):
        async with invoker.stream("f"):
            raise ZeroDivisionError
    with anyio.CancelScope() as scope:
        async with invoker.stream("f") as cancelled:
            async for _ in cancelled:
                scope.cancel()
    assert scope.cancelled_caught
    assert invoker.statistics().in_flight == 0
    with anyio.fail_after(60):
        while endpoint.connections:
            await anyio.sleep(0.01)
    for left in (response, cancelled):
        with pytest.raises(anyio.ClosedResourceError):
            await anext(left)
    assert (await invoker.invoke("f")).status_code == 200


async def test_closing_waits_for_streams_that_wait_for_a_chunk_and_for_no_others(
    endpoint: FaultEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller, "LAST_WORDS", 30)
    began = anyio.current_time()
    stalled = Streamed(frames=(ONE,), ending="stalled")
    endpoint.script("f", stalled, stalled)
    errors: list[TransportError] = []

    async def wait_for_a_chunk(stream: ResponseStream) -> None:
        with pytest.raises(TransportError) as raised:
            await anext(stream)
        errors.append(raised.value)

    with anyio.fail_after(60):
        async with AsyncExitStack() as stack, anyio.create_task_group() as group:
            async with Invoker(session=SESSION, endpoint_url=endpoint.url) as invoker:
                held = await stack.enter_async_context(invoker.stream("f"))
                awaited = await stack.enter_async_context(invoker.stream("f"))
                for each in (held, awaited):
                    assert await anext(each) == b"one"
                group.start_soon(wait_for_a_chunk, awaited)
                await wait_all_tasks_blocked()
            assert invoker.statistics().executions == {"transport": 1}
            assert anyio.current_time() - began < 30  # where the wait would never end
            await wait_for_a_chunk(held)
    assert [error.code for error in errors] == ["InvokerClosed"] * 2
    assert invoker.statistics().executions == {"transport": 2}


async def test_a_wait_for_the_first_chunk_that_was_cancelled_closes_the_connection(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    endpoint.script("f", Streamed(ending="stalled"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter, invoker.stream("f"))
        with anyio.fail_after(60):
            while not endpoint.deliveries("f"):
                await anyio.sleep(0.001)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert invoker.statistics().in_flight == 0
    with anyio.fail_after(60):
        while endpoint.connections:
            await anyio.sleep(0.001)


async def enter(opening: AbstractAsyncContextManager[ResponseStream]) -> None:
    async with opening:
        raise AssertionError("no chunk has come")


async def test_a_wait_for_a_chunk_that_was_cancelled_closes_the_stream(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    endpoint.script("f", Streamed(frames=(ONE,), ending="stalled"))
    async with invoker.stream("f") as response:
        await anext(response)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anext, response)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        assert invoker.statistics().in_flight == 0
        with pytest.raises(anyio.ClosedResourceError):
            await anext(response)


@pytest.mark.parametrize(
    ("step", "comes", "delivery"),
    [
        pytest.param(Stall(), 0, Delivery.UNKNOWN, id="no head"),
        pytest.param(Streamed(ending="stalled"), 0, Delivery.UNKNOWN, id="no chunk"),
        pytest.param(
            Streamed(frames=(ONE,), ending="stalled"), 1, Delivery.EXECUTED, id="after a chunk"
        ),
    ],
)
async def test_the_timeout_counts_until_the_last_chunk(
    endpoint: FaultEndpoint,
    invoker: Invoker,
    step: Stall | Streamed,
    comes: int,
    delivery: Delivery,
) -> None:
    for timeout in LONGER:
        endpoint.script("f", step)
        chunks: list[bytes] = []
        before = len(endpoint.requests("f"))
        with pytest.raises(DeadlineExceededError) as raised:
            await collect_into(chunks, invoker.stream("f", timeout=timeout))
        if len(endpoint.requests("f")) > before and len(chunks) == comes:
            break
    assert raised.value.delivery is delivery
    assert raised.value.gave_up is GaveUp.DEADLINE
    assert [attempt.code for attempt in raised.value.attempts] == ["Interrupted"]
    assert invoker.statistics().in_flight == 0


async def take_slowly(
    chunks: list[bytes], opening: AbstractAsyncContextManager[ResponseStream], seconds: float
) -> None:
    async with opening as response:
        chunks.append(await anext(response))
        await anyio.sleep(seconds)
        chunks.append(b"the block went on")
        await anext(response)


async def test_the_timeout_does_not_interrupt_what_the_block_does(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    chunks: list[bytes] = []
    for timeout in LONGER:
        endpoint.script("f", Streamed(frames=(ONE,), ending="stalled"))
        with pytest.raises(DeadlineExceededError):
            await take_slowly(chunks, invoker.stream("f", timeout=timeout), timeout)
        if chunks:
            break
    assert chunks == [b"one", b"the block went on"]


async def test_a_throttled_stream_fails_as_an_invocation_does(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    endpoint.script("f", throttle("CallerRateLimitExceeded"))
    with pytest.raises(ThrottledError) as raised:
        async with invoker.stream("f", retry=RetryPolicy.never()):
            pytest.fail("a stream was given")
    assert raised.value.delivery is Delivery.REJECTED
    assert sum(invoker.statistics().throttles.values()) == 1


async def test_a_function_that_is_not_ready_is_distinguished(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    endpoint.script("f", error(409, "ResourceConflictException", "state: Pending"))
    with pytest.raises(NotReadyError):
        async with invoker.stream("f", retry=RetryPolicy.never()):
            pytest.fail("a stream was given")


async def test_a_service_that_never_ends_its_body_costs_the_connection_and_nothing_else(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    endpoint.script("f", Streamed(frames=(ONE, END), ending="stalled"))
    async with invoker.stream("f") as response:
        assert await collect(response) == [b"one"]
    with anyio.fail_after(60):
        while endpoint.connections:
            await anyio.sleep(0.01)


async def test_a_handle_streams_with_its_defaults(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    endpoint.script("f", stream(b"one"))
    function = invoker.function("f", qualifier="live", log_type="Tail", idempotent=True)
    async with function.stream({"n": 1}, qualifier="blue") as response:
        assert await collect(response) == [b"one"]
    (request,) = endpoint.requests("f")
    assert request.target.qualifier == "blue"
    assert request.headers["x-amz-log-type"] == "Tail"


async def test_bad_input_is_refused_before_anything_is_sent(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    with pytest.raises(InvalidRequestError, match="function_name"):
        invoker.stream("no such name")
    with pytest.raises(InvalidRequestError, match="payload"):
        invoker.stream("f", {1, 2})
    with pytest.raises(InvalidRequestError, match=r"durable_execution_name 'o-1' does not go"):
        invoker.function("f", durable_execution_name="o-1").stream()
    with pytest.raises(InvalidRequestError, match="invocation_type 'Event' does not go"):
        invoker.function("f", invocation_type="Event").stream()
    with pytest.raises(asyncinvoke.ConfigurationError, match="not open"):
        Invoker().stream("f")
    assert endpoint.deliveries("f") == 0


async def test_neither_chunks_nor_errors_show_in_a_repr(
    endpoint: FaultEndpoint, invoker: Invoker
) -> None:
    endpoint.script("f", stream(b"secret", error_code="Unhandled", error_details="secret"))
    with contextlib.suppress(FunctionError):
        async with invoker.stream("f") as response:
            await collect(response)
    assert "secret" not in repr(response)
    assert "secret" not in repr(stream(b"secret", error_details="secret"))


def test_the_damaged_frame_of_these_tests_is_whole_but_for_one_bit() -> None:
    assert len(DAMAGED) == len(ONE)
    assert zlib.crc32(DAMAGED[:-4]) != int.from_bytes(DAMAGED[-4:])
