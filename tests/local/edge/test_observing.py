"""Listeners are notified of each answer, including faults."""

from functools import partial

import pytest
from anyio import to_thread

from asyncinvoke import (
    FunctionError,
    Invoker,
    TransportError,
)
from asyncinvoke.local import (
    Answer,
    AnsweredInvocation,
    Close,
    LocalLambda,
    Step,
    Streamed,
    Truncated,
    error,
    function_error,
    throttle,
)
from tests.doubles.handlers import echo
from tests.doubles.sessions import SESSION
from tests.doubles.sockets import raw

pytestmark = pytest.mark.anyio


async def test_a_listener_receives_what_was_sent() -> None:
    told: list[AnsweredInvocation] = []
    async with LocalLambda(on_invocation=told.append) as local:
        local.function("echo", echo)
        local.fault(Close(), count=1, after_run=True)
        local.fault(function_error(), count=1)
        async with Invoker(session=SESSION, endpoint_url=local.url) as invoker:
            with pytest.raises(TransportError):
                await invoker.send_event("echo", 1)
            with pytest.raises(FunctionError):
                await invoker.invoke("echo", 1)
            await invoker.invoke("echo", 1)
    assert [(each.fault, each.status_code, each.function_error) for each in told] == [
        ("Close", 0, None),
        ("Answer", 200, "Unhandled"),
        (None, 200, None),
    ]
    assert [each.invocation_type for each in told][:2] == ["Event", "RequestResponse"]
    assert told[1].request_id != told[2].request_id
    # The Event was accepted, though no client received the answer.
    assert local.statistics().executions == 2


async def test_an_answer_that_cannot_be_decoded_is_sent_and_reported_without_its_message() -> None:
    told: list[AnsweredInvocation] = []
    step = Answer(payload=b"[" * 100_000, headers={"X-Amz-Function-Error": "Unhandled"})
    async with LocalLambda(on_invocation=told.append) as local:
        local.fault(step)
        async with Invoker(session=SESSION, endpoint_url=local.url) as invoker:
            with pytest.raises(FunctionError) as raised:
                await invoker.invoke("echo", 1)
    assert raised.value.response is not None
    assert raised.value.response.payload == step.payload
    assert [(each.function_error, each.error_type) for each in told] == [("Unhandled", None)]


@pytest.mark.parametrize(
    ("step", "after_run", "status"),
    [
        (throttle(), False, 429),
        (error(503, "ServiceException"), True, 503),
        (Truncated(), False, 200),
        (Truncated(answer=throttle()), False, 429),
        (Truncated(answer=throttle()), True, 200),
        (Streamed(ending="closed"), False, 200),
    ],
    ids=repr,
)
async def test_the_sent_the_reported_and_the_recorded_request_are_the_same(
    step: Step, after_run: bool, status: int
) -> None:
    told: list[AnsweredInvocation] = []
    async with LocalLambda(on_invocation=told.append, keep_requests=1) as local:
        local.function("echo", echo)
        local.fault(step, after_run=after_run)
        client = partial(raw, local.url, "echo", b'"abc"', hang_up=True)
        head, _ = await to_thread.run_sync(client)
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert f"\r\nx-amzn-RequestId: {told[0].request_id}\r\n".encode() in head
    assert (told[0].status_code, told[0].request_id) == (status, local.requests[0].request_id)
