"""InvokeWithResponseStream at the endpoint, read by botocore's, boto3's and aiobotocore's parsers."""

import base64
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import anyio
import boto3
import pytest
from aiobotocore.session import AioSession
from anyio import to_thread
from botocore.config import Config

from asyncinvoke import FunctionError, Invoker
from asyncinvoke.local import AnsweredInvocation, LocalLambda
from asyncinvoke.local.edge.streaming import LARGEST_CHUNK
from tests.doubles.handlers import until
from tests.doubles.waiting import LONGER

pytestmark = pytest.mark.anyio

PATH = "/2021-11-15/functions/{}/response-streaming-invocations"


async def yields(event: Any, context: Any) -> AsyncIterator[bytes | str]:
    yield b"one"
    await anyio.sleep(0)
    yield "zwö"


def yields_in_thread(event: Any, context: Any) -> Iterator[bytes | str]:
    assert threading.current_thread() is not threading.main_thread()
    yield b"one"
    yield "zwö"


def gives_an_iterator(event: Any, context: Any) -> Any:
    return iter([b"one", "zwö"])


async def gives_an_async_iterator(event: Any, context: Any) -> Any:
    return yields(event, context)


async def plain(event: Any, context: Any) -> Any:
    return ["one", event]


async def fails_late(event: Any, context: Any) -> AsyncIterator[bytes]:
    yield b"one"
    raise ValueError("no good")


def fails_late_in_thread(event: Any, context: Any) -> Iterator[bytes]:
    yield b"one"
    raise ValueError("no good")


async def fails_at_once(event: Any, context: Any) -> AsyncIterator[bytes]:
    if event is not None:
        raise ValueError("no good")
    yield b""


async def is_late(event: Any, context: Any) -> AsyncIterator[bytes]:
    yield b"one"
    await anyio.sleep_forever()


async def yields_a_number(event: Any, context: Any) -> AsyncIterator[Any]:
    yield b"one"
    yield 2


FAILURES = {
    "fails_late": ("ValueError", "no good"),
    "fails_late_in_thread": ("ValueError", "no good"),
    "fails_at_once": ("ValueError", "no good"),
    "is_late": ("Sandbox.Timedout", "Task timed out after {:.2f} seconds"),
    "yields_a_number": (
        "Runtime.MarshalError",
        "Unable to marshal response: Object of type int is neither bytes nor str",
    ),
}


@pytest.fixture
async def functions(local: LocalLambda) -> LocalLambda:
    for handler in (
        yields,
        yields_in_thread,
        gives_an_iterator,
        gives_an_async_iterator,
        plain,
        fails_late,
        fails_late_in_thread,
        fails_at_once,
        yields_a_number,
    ):
        local.function(handler.__name__, handler)
    return local


def read_with_boto3(url: str, name: str, **options: Any) -> dict[str, Any]:
    config = Config(retries={"total_max_attempts": 1})
    client = boto3.client("lambda", region_name="us-east-1", endpoint_url=url, config=config)
    with contextlib.closing(client):
        answer = client.invoke_with_response_stream(FunctionName=name, Payload=b"1", **options)
        return {**answer, "EventStream": list(answer["EventStream"])}


def chunks_of(events: list[dict[str, Any]]) -> list[bytes]:
    *chunks, _ = events
    return [event["PayloadChunk"]["Payload"] for event in chunks]


@pytest.mark.parametrize(
    ("name", "chunks"),
    [
        ("yields", [b"one", "zwö".encode()]),
        ("yields_in_thread", [b"one", "zwö".encode()]),
        ("gives_an_iterator", [b"one", "zwö".encode()]),
        ("gives_an_async_iterator", [b"one", "zwö".encode()]),
        ("plain", [b'["one", 1]']),
    ],
)
async def test_boto3_reads_one_chunk_for_each_piece(
    functions: LocalLambda, name: str, chunks: list[bytes]
) -> None:
    read = partial(read_with_boto3, functions.url, name, LogType="Tail")
    answer = await to_thread.run_sync(read)
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    assert chunks_of(answer["EventStream"]) == chunks
    complete = answer["EventStream"][-1]["InvokeComplete"]
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert "ErrorCode" not in complete
    assert f"END RequestId: {request_id}" in base64.b64decode(complete["LogResult"]).decode()


@pytest.mark.parametrize("name", FAILURES)
async def test_boto3_reads_of_a_failure_in_the_last_event(
    functions: LocalLambda, name: str
) -> None:
    for timeout in LONGER:
        called = name
        if name == "is_late":
            called = f"is_late-{LONGER.index(timeout)}"
            functions.function(called, is_late, timeout=timeout)
        answer = await to_thread.run_sync(read_with_boto3, functions.url, called)
        *chunks, last = answer["EventStream"]
        if chunks or name != "is_late":  # a busy machine may need time for the first one
            break
    assert len(chunks) == (name != "fails_at_once")
    assert last["InvokeComplete"]["ErrorCode"] == "Unhandled"
    details = json.loads(last["InvokeComplete"]["ErrorDetails"])
    error_type, message = FAILURES[name]
    message = message.format(timeout)
    assert (details["errorType"], details["errorMessage"][-len(message) :]) == (error_type, message)
    assert "LogResult" not in last["InvokeComplete"]
    assert functions.statistics().function_errors == 1 + LONGER.index(timeout)


async def test_aiobotocore_reads_events_as_they_are_written(local: LocalLambda) -> None:
    gate = anyio.Event()

    async def waits(event: Any, context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        await gate.wait()
        yield b"two"

    local.function("waits", waits)
    async with AioSession().create_client(
        "lambda", region_name="us-east-1", endpoint_url=local.url
    ) as client:
        answer = await client.invoke_with_response_stream(FunctionName="waits")
        events = []
        async for event in answer["EventStream"]:
            events.append(event)
            gate.set()
    assert chunks_of(events) == [b"one", b"two"]
    assert events[-1] == {"InvokeComplete": {}}


@pytest.fixture(params=["asyncio", "trio"])
def either_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_invoker_reads_what_handlers_write(either_backend: str, transport: str) -> None:
    async def main() -> None:
        async with (
            LocalLambda() as local,
            Invoker(
                region_name="us-east-1",
                endpoint_url=local.url,
                transport=transport,  # type: ignore[arg-type]
            ) as invoker,
        ):
            for handler in (yields, yields_in_thread, fails_late, fails_at_once):
                local.function(handler.__name__, handler)
            for name in ("yields", "yields_in_thread"):
                async with invoker.stream(name, log_type="Tail") as stream:
                    assert [chunk async for chunk in stream] == [b"one", "zwö".encode()]
                assert stream.response is not None
                assert f"END RequestId: {stream.request_id}" in str(stream.response.log_result)
            for name in ("fails_late", "fails_at_once"):
                with pytest.raises(FunctionError, match="no good") as raised:
                    async with invoker.stream(name, 1) as stream:
                        assert [chunk async for chunk in stream] == [b"one"]
                assert raised.value.error_type == "ValueError"
                assert raised.value.stack_trace

    anyio.run(main, backend=either_backend)


async def test_an_invoke_of_a_handler_that_yields_gets_the_pieces_joined(
    functions: LocalLambda, invoke: Any
) -> None:
    for name in ("yields", "yields_in_thread"):
        reply = await invoke(name)
        assert reply.body == "onezwö".encode()
    reply = await invoke("fails_late")
    assert reply.headers["x-amz-function-error"] == "Unhandled"
    assert reply.json()["errorType"] == "ValueError"


async def test_joined_pieces_may_not_exceed_what_an_invoke_may_answer(
    local: LocalLambda, invoke: Any
) -> None:
    async def much(event: Any, context: Any) -> AsyncIterator[bytes]:
        for _ in range(7):
            yield bytes(1_048_576)

    local.function("much", much)
    assert (await invoke("much")).json()["errorType"] == "Function.ResponseSizeTooLarge"


async def test_a_large_piece_becomes_several_chunks(local: LocalLambda) -> None:
    async def large(event: Any, context: Any) -> AsyncIterator[bytes]:
        yield bytes(2 * LARGEST_CHUNK + 1)

    local.function("large", large)
    answer = await to_thread.run_sync(read_with_boto3, local.url, "large")
    sizes = [len(chunk) for chunk in chunks_of(answer["EventStream"])]
    assert sizes == [LARGEST_CHUNK, LARGEST_CHUNK, 1]


async def test_a_stream_is_no_event_and_a_dry_run_runs_nothing(
    functions: LocalLambda, request_to: Any
) -> None:
    path = PATH.format("yields")
    dry = {"X-Amz-Invocation-Type": "DryRun"}
    assert (await request_to(functions.url, path, headers=dry)).status == 204
    event = {"X-Amz-Invocation-Type": "Event"}
    status, code, body = (await request_to(functions.url, path, headers=event)).error
    assert (status, code) == (400, "ValidationException")
    assert "[RequestResponse, DryRun]" in body["message"]
    assert functions.statistics().executions == 0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_handler_writes_no_faster_than_its_chunks_are_taken(backend: str) -> None:
    async def main() -> None:
        written = 0

        async def endless(event: Any, context: Any) -> AsyncIterator[bytes]:
            nonlocal written
            while True:
                yield bytes(65_536)
                written += 1

        async with (
            LocalLambda() as local,
            Invoker(region_name="us-east-1", endpoint_url=local.url) as invoker,
        ):
            local.function("endless", endless, timeout=60)
            async with invoker.stream("endless") as stream:
                await anext(stream)
                before = -1
                while before != written:
                    before = written
                    await anyio.sleep(0.3)
                # Data in transit is only in the buffers of two sockets.
                assert written < 200
                for _ in range(written + 10):
                    await anext(stream)
                assert written > before
                assert invoker.statistics().in_flight == 1
            assert invoker.statistics().in_flight == 0

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_function_continues_when_its_client_disconnects_as_in_aws(
    local: LocalLambda, in_thread: bool
) -> None:
    ended = []

    async def counts(event: Any, context: Any) -> AsyncIterator[bytes]:
        for number in range(40):
            yield bytes(65_536)
            ended.append(number)

    def counts_in_thread(event: Any, context: Any) -> Iterator[bytes]:
        for number in range(40):
            yield bytes(65_536)
            ended.append(number)

    local.function("counts", counts_in_thread if in_thread else counts)
    async with Invoker(region_name="us-east-1", endpoint_url=local.url) as invoker:
        async with invoker.stream("counts") as stream:
            await anext(stream)
        await until(lambda: len(ended) == 40)
        await until(lambda: local.statistics().in_flight == 0)


async def test_a_handler_that_is_late_or_cut_off_is_closed() -> None:
    closed = []

    async def late(event: Any, context: Any) -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await anyio.sleep_forever()
        finally:
            closed.append("async")

    def late_in_thread(event: Any, context: Any) -> Iterator[bytes]:
        try:
            while True:
                yield bytes(1_000_000)
        finally:
            closed.append("sync")

    async with (
        LocalLambda() as local,
        Invoker(region_name="us-east-1", endpoint_url=local.url) as invoker,
    ):
        for kind, handler in (("async", late), ("sync", late_in_thread)):
            local.function(kind, handler, timeout=0.2)
            # A busy machine may have no time to send the first piece.
            with contextlib.suppress(FunctionError):
                async with invoker.stream(kind) as stream:
                    await anext(stream)
                    await until(lambda: closed[-1:] == [kind])  # noqa: B023  # it waits here
        await until(lambda: closed == ["async", "sync"])


async def test_an_endpoint_that_closes_breaks_a_stream_off() -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with LocalLambda() as local:
            local.function("is_late", is_late)
            invoker = await stack.enter_async_context(
                Invoker(region_name="us-east-1", endpoint_url=local.url)
            )
            stream = await stack.enter_async_context(invoker.stream("is_late"))
            assert await anext(stream) == b"one"
        with pytest.raises(Exception, match="is_late") as raised:
            await anext(stream)
        assert getattr(raised.value, "code", None) in ("TruncatedBody", "ConnectionLost")


async def test_a_listener_is_called_at_the_end_of_a_stream() -> None:
    told: list[AnsweredInvocation] = []

    async def slow(event: Any, context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        await anyio.sleep(0.1)
        raise ValueError

    async with LocalLambda(on_invocation=told.append) as local:
        local.function("slow", slow)
        await to_thread.run_sync(read_with_boto3, local.url, "slow")
    (answered,) = told
    assert (answered.status_code, answered.function_error) == (200, "Unhandled")
    assert answered.duration >= 0.1


async def test_aws_runtime_does_not_stream_and_its_answer_is_one_chunk(
    local: LocalLambda, handlers: Any
) -> None:
    pytest.importorskip("awslambdaric")
    local.function("letters", "handlers:letters", timeout=10, directory=handlers)
    local.function("fail", "handlers:fail", timeout=10, directory=handlers)
    answer = await to_thread.run_sync(read_with_boto3, local.url, "letters")
    assert chunks_of(answer["EventStream"]) == [b'"x"']
    answer = await to_thread.run_sync(read_with_boto3, local.url, "fail")
    (last,) = answer["EventStream"]
    assert json.loads(last["InvokeComplete"]["ErrorDetails"])["errorMessage"] == "no good"


async def test_streams_count_as_invocations(functions: LocalLambda) -> None:
    async with Invoker(region_name="us-east-1", endpoint_url=functions.url) as invoker:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(_drain, invoker)
        assert invoker.statistics().attempts == 20
    statistics = functions.statistics().functions["yields"]
    assert (statistics.invocations, statistics.executions, statistics.in_flight) == (20, 20, 0)


async def _drain(invoker: Invoker) -> None:
    async with invoker.stream("yields") as stream:
        assert [chunk async for chunk in stream] == [b"one", "zwö".encode()]
