"""Injected faults: what clients receive, what the function did, and what is counted."""

import contextlib
import http.client
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import boto3
import pytest
from anyio import to_thread
from botocore.config import Config

from asyncinvoke import (
    Delivery,
    FunctionError,
    Invoker,
    RetryPolicy,
    ServiceError,
    ThrottledError,
    TransportError,
)
from asyncinvoke.local import (
    Answer,
    Close,
    LocalLambda,
    Raw,
    Reset,
    Stall,
    Step,
    Streamed,
    Truncated,
    error,
    function_error,
    stream,
    throttle,
)
from tests.doubles.handlers import echo, until
from tests.doubles.sessions import SESSION
from tests.doubles.sockets import INVOKE, SIGNATURE, STREAM, connected, raw, request_bytes

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("functions")]

BREAKS: list[Step] = [
    Reset(),
    Close(),
    Truncated(),
    Raw(),
    Stall(seconds=0.05),
    Stall(seconds=0.05, sent=b"HTTP/1.1 200 OK\r\n"),
]


@pytest.mark.parametrize("step", BREAKS, ids=repr)
async def test_a_connection_that_breaks_may_have_run_and_is_not_repeated(
    local: LocalLambda, invoker: Invoker, step: Step
) -> None:
    local.fault(step, count=1)
    with pytest.raises(TransportError) as caught:
        await invoker.invoke("echo", 1)
    assert caught.value.delivery is Delivery.UNKNOWN
    there = local.statistics()
    assert (there.invocations, there.executions, there.faults) == (1, 0, 1)
    assert (await invoker.invoke("echo", 1)).json() == 1


@pytest.mark.parametrize("step", [*BREAKS, error(500, "ServiceException")], ids=repr)
async def test_after_run_the_function_has_run_and_runs_again_if_allowed(
    local: LocalLambda, invoker: Invoker, step: Step
) -> None:
    fault = local.fault(step, count=2, after_run=True)
    with pytest.raises((TransportError, ServiceError)) as caught:
        await invoker.invoke("echo", 1)
    assert caught.value.delivery is Delivery.UNKNOWN
    assert local.statistics().executions == 1
    response = await invoker.invoke("echo", 2, idempotent=True)
    assert (response.json(), len(response.attempts)) == (2, 2)
    there = local.statistics().functions["echo"]
    assert (there.invocations, there.executions, there.faults, fault.played) == (3, 3, 2, 2)


async def test_a_truncated_answer_after_a_run_is_the_real_one_cut(local: LocalLambda) -> None:
    local.fault(Truncated(sent=3), after_run=True)
    head, body = await to_thread.run_sync(partial(raw, local.url, "echo", b'"abcdef"'))
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ncontent-length: 8\r\n" in head.lower()
    assert body == b'"ab'


async def test_a_reset_is_an_rst_and_a_close_is_a_fin(local: LocalLambda) -> None:
    local.fault(Reset(), count=1)
    local.fault(Close(), count=1)
    with pytest.raises(ConnectionResetError):
        await to_thread.run_sync(partial(raw, local.url, "echo", b"1"))
    assert await to_thread.run_sync(partial(raw, local.url, "echo", b"1")) == (b"", b"")


async def test_a_request_can_be_reset_before_its_body_was_read(local: LocalLambda) -> None:
    local.fault(Reset(read=False), count=1)

    def send_half() -> bytes:
        with connected(local.url) as sock:
            sock.sendall(
                b"POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\n"
                b"Host: localhost\r\nAuthorization: AWS4-HMAC-SHA256 \r\n"
                b"Content-Length: 1000\r\n\r\n"
            )
            return sock.recv(1)

    with pytest.raises(ConnectionResetError):
        await to_thread.run_sync(send_half)
    assert local.requests == ()
    assert local.statistics().faults == 1


async def test_answers_take_the_place_of_the_service(local: LocalLambda, invoker: Invoker) -> None:
    local.fault(throttle(retry_after="7"), count=3)
    local.fault(function_error("KeyError", "no cat"), count=1)
    local.fault(Answer(payload=b'"scripted"'), count=1)
    with pytest.raises(ThrottledError) as throttled:
        await invoker.invoke("echo", 1, retry=RetryPolicy.never())
    assert throttled.value.retry_after == 7
    with pytest.raises(FunctionError, match="no cat"):
        await invoker.invoke("echo", 1)
    assert (await invoker.invoke("echo", 1)).json() == "scripted"
    assert local.statistics().executions == 0


async def test_the_sdk_meets_them_too(local: LocalLambda) -> None:
    local.fault(throttle(), count=1)
    config = Config(retries={"total_max_attempts": 2, "mode": "standard"})
    client = boto3.client("lambda", "us-east-1", endpoint_url=local.url, config=config)
    answer = await to_thread.run_sync(partial(client.invoke, FunctionName="echo", Payload=b"5"))
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1
    assert answer["Payload"].read() == b"5"
    client.close()


async def test_a_stream_can_break_off_before_and_after_its_function_ran(
    local: LocalLambda, invoker: Invoker
) -> None:
    local.fault(stream(b"scripted"), count=1)
    async with invoker.stream("words") as chunks:
        assert [chunk async for chunk in chunks] == [b"scripted"]
    assert local.statistics().executions == 0
    local.fault(Truncated(sent=200), count=1, after_run=True)
    async with invoker.stream("words") as chunks:
        assert await anext(chunks) == b"one "
        with pytest.raises(TransportError) as caught:
            await anext(chunks)
    assert caught.value.delivery is Delivery.EXECUTED
    assert local.statistics().executions == 1


@pytest.mark.parametrize(
    ("ending", "met"),
    [("closed", None), ("reset", ConnectionResetError), ("stalled", TimeoutError)],
)
async def test_a_scripted_stream_ends_on_the_wire_as_it_says(
    local: LocalLambda, ending: Any, met: type[Exception] | None
) -> None:
    frame = stream(b"word").frames[0]
    local.fault(Streamed(frames=(frame,), ending=ending))

    def read() -> tuple[bytes, type[Exception] | None]:
        received = b""
        with connected(local.url) as sock:
            sock.sendall(request_bytes("words", b"1", operation=STREAM))
            try:
                while piece := sock.recv(65_536):
                    received += piece
                    if received.endswith(frame + b"\r\n"):
                        sock.settimeout(0.1 if met is TimeoutError else 60)
            except OSError as error:
                return received, type(error)
        return received, None

    received, ended = await to_thread.run_sync(read)
    # There is no last chunk.
    assert received.endswith(b"\r\n%x\r\n%b\r\n" % (len(frame), frame))
    assert ended is met


@pytest.mark.parametrize("step", [throttle(), stream(b"word")], ids=["throttle", "stream"])
async def test_a_connection_lives_on_after_a_whole_answer(local: LocalLambda, step: Step) -> None:
    local.fault(step, count=1)

    def ask_twice() -> list[tuple[int, bytes]]:
        address = urlsplit(local.url)
        connection = http.client.HTTPConnection(address.netloc, timeout=20)
        with contextlib.closing(connection):
            connection.connect()
            first, answers = connection.sock, []
            for _ in range(2):
                connection.request(
                    "POST", INVOKE.format("echo"), b"7", {"Authorization": SIGNATURE}
                )
                answer = connection.getresponse()
                answers.append((answer.status, answer.read()))
                assert connection.sock is first
            return answers

    (status, body), second = await to_thread.run_sync(ask_twice)
    assert second == (200, b"7")
    if isinstance(step, Answer):
        assert (status, body) == (429, step.payload)
    else:
        assert isinstance(step, Streamed)
        assert (status, body) == (200, b"".join(step.frames))


async def test_a_header_of_a_scripted_answer_is_sent_as_it_is(local: LocalLambda) -> None:
    local.fault(Answer(headers={"Connection": "close"}))
    head, _ = await to_thread.run_sync(partial(raw, local.url, "echo", b"1"))
    assert b"\r\nConnection: close\r\n" in head
    assert b"keep-alive" not in head


async def test_silence_ends_when_the_client_goes_away_or_the_endpoint_closes() -> None:
    async with LocalLambda() as local:
        local.function("echo", echo)
        local.fault(Stall(), count=2)
        async with (
            Invoker(session=SESSION, endpoint_url=local.url) as invoker,
            anyio.create_task_group() as group,
        ):
            leaving = anyio.CancelScope()

            async def leave() -> None:
                with leaving:
                    await invoker.invoke("echo", 1)

            async def meet_the_end() -> None:
                with pytest.raises(TransportError):
                    await invoker.invoke("echo", 2)

            group.start_soon(leave)
            await until(lambda: local.statistics().faults == 1)
            leaving.cancel()
            group.start_soon(meet_the_end)
            await until(lambda: local.statistics().faults == 2)
            with anyio.fail_after(60):
                await local.__aexit__(None, None, None)
