"""Faults on demand: what clients meet, what the function did, and what the endpoint counts."""

import contextlib
import http.client
import itertools
import json
import math
import socket
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import boto3
import pytest
from aiobotocore.session import AioSession
from anyio import to_thread
from botocore.config import Config
from tenacity import stop_after_attempt, wait_none

from asyncinvoke import (
    Backoff,
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
    AnsweredInvocation,
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
from asyncinvoke.testing import InstantClock

pytestmark = pytest.mark.anyio

INVOKE = "/2015-03-31/functions/{}/invocations"
STREAM = "/2021-11-15/functions/{}/response-streaming-invocations"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:echo"
SESSION = AioSession()  # keeps the service model, which is slow to read

BREAKS: list[Step] = [
    Reset(),
    Close(),
    Truncated(),
    Raw(),
    Stall(seconds=0.05),
    Stall(seconds=0.05, sent=b"HTTP/1.1 200 OK\r\n"),
]


@pytest.fixture
async def local() -> AsyncIterator[LocalLambda]:
    async with LocalLambda(keep_requests=1000) as local:
        local.function("echo", echo)
        local.function("other", echo)
        local.function("words", words)
        yield local


@pytest.fixture
async def invoker(local: LocalLambda) -> AsyncIterator[Invoker]:
    async with Invoker(session=SESSION, endpoint_url=local.url, clock=InstantClock()) as invoker:
        yield invoker


async def echo(event: Any, context: Any) -> Any:
    return event


async def words(event: Any, context: Any) -> AsyncIterator[bytes]:
    for word in (b"one ", b"two"):
        yield word


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
async def test_after_run_the_function_has_run_and_runs_again_for_who_allows_it(
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


async def test_a_reset_is_a_reset_and_a_close_is_none(local: LocalLambda) -> None:
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
                b"Host: localhost\r\nContent-Length: 1000\r\n\r\n"
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
            sock.sendall(asking("words", b"1", operation=STREAM))
            try:
                while piece := sock.recv(65_536):
                    received += piece
                    if received.endswith(frame + b"\r\n"):
                        sock.settimeout(0.1)
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
                connection.request("POST", INVOKE.format("echo"), b"7")
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


async def test_a_function_is_meant_by_its_bare_name_however_it_is_asked_for(
    local: LocalLambda, invoker: Invoker
) -> None:
    local.fault(throttle(), function_name="echo")
    for name in ("echo", "echo:$LATEST", ARN):
        assert await code(invoker, name) == 429


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


async def test_faults_at_random_lose_nothing_of_an_idempotent_run(
    local: LocalLambda, invoker: Invoker
) -> None:
    # By turns lost before and after the function ran: one in five requests.
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


async def test_silence_ends_when_the_client_goes_away_or_the_endpoint_closes() -> None:
    async with LocalLambda() as local:
        local.function("echo", echo)
        local.fault(Stall(), count=2)
        async with (
            Invoker(session=SESSION, endpoint_url=local.url) as invoker,
            anyio.create_task_group() as group,
        ):
            with anyio.move_on_after(0.2):
                await invoker.invoke("echo", 1)

            async def meet_the_end() -> None:
                with pytest.raises(TransportError):
                    await invoker.invoke("echo", 2)

            group.start_soon(meet_the_end)
            with anyio.fail_after(20):
                while local.statistics().faults < 2:
                    await anyio.sleep(0.005)
            with anyio.fail_after(10):
                await local.__aexit__(None, None, None)


async def test_a_listener_is_told_what_was_sent() -> None:
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
    # The Event was accepted, though nobody heard of it.
    assert local.statistics().executions == 2


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
async def test_what_was_sent_what_is_told_and_what_is_kept_are_the_same_request(
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


async def test_requests_are_kept_as_they_were_asked(local: LocalLambda, invoker: Invoker) -> None:
    response = await invoker.invoke(
        "echo:$LATEST", {"key": "cat.jpg"}, log_type="Tail", client_context={"custom": {"a": "b"}}
    )
    await invoker.send_event("other", [1], tenant_id="blue")
    async with invoker.stream("words") as chunks:
        async for _ in chunks:
            pass
    first, second, third = local.requests
    assert first.request_id == response.request_id
    assert (first.function_name, first.qualifier) == ("echo", "$LATEST")
    assert (first.json(), first.log_type) == ({"key": "cat.jpg"}, "Tail")
    assert first.client_context is not None
    assert json.loads(first.client_context) == {"custom": {"a": "b"}}
    assert (second.invocation_type, second.tenant_id, second.json()) == ("Event", "blue", [1])
    assert (third.streams, third.payload, second.streams) == (True, b"", False)
    assert "cat.jpg" not in repr(first)


async def test_only_the_latest_requests_are_kept() -> None:
    async with LocalLambda(keep_requests=2) as local:
        local.function("echo", echo)
        async with Invoker(session=SESSION, endpoint_url=local.url) as invoker:
            for number in range(3):
                await invoker.invoke("echo", number)
    assert [each.json() for each in local.requests] == [1, 2]


def test_without_keeping_any_requests_are_refused_and_not_empty() -> None:
    with pytest.raises(RuntimeError, match="keep_requests"):
        _ = LocalLambda().requests


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
        (Answer(), {"after_run": True}, "after_run=True is of no use"),
        (stream(b"x"), {"after_run": True}, "after_run=True is of no use"),
        (Reset(read=False), {"after_run": True}, "after_run=True is of no use"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_by_name(
    step: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LocalLambda().fault(step, **options)


async def code(invoker: Invoker, name: str) -> int | None:
    """Invoke once and give the status."""
    try:
        return (await invoker.invoke(name, 1, retry=RetryPolicy.never())).status_code
    except (ThrottledError, ServiceError) as caught:
        return caught.status_code


def connected(url: str) -> socket.socket:
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    return socket.create_connection((address.hostname, address.port), timeout=20)


def asking(name: str, body: bytes, *, operation: str = INVOKE, hang_up: bool = False) -> bytes:
    """Return the bytes of a request."""
    lines = [f"POST {operation.format(name)} HTTP/1.1", "Host: localhost"]
    lines += ["Connection: close"] * hang_up
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def raw(url: str, name: str, body: bytes, *, hang_up: bool = False) -> tuple[bytes, bytes]:
    """Send one request and read until the connection ends; give head and body."""
    with connected(url) as sock:
        sock.sendall(asking(name, body, hang_up=hang_up))
        received = b""
        while piece := sock.recv(65_536):
            received += piece
    head, _, rest = received.partition(b"\r\n\r\n")
    return head + b"\r\n" * bool(head), rest
