"""Users' code as a type checker sees it; checked by mypy, never run."""

from collections.abc import AsyncIterator
from typing import Any, assert_type

from tenacity import stop_after_attempt, stop_after_delay, wait_exponential, wait_random

from asyncinvoke import (
    Attempt,
    Backoff,
    Delivery,
    FixedLimit,
    Function,
    FunctionError,
    InvocationError,
    Invoker,
    MapRun,
    Outcome,
    Request,
    Response,
    ResponseStream,
    RetryPolicy,
    ThrottledError,
    ThrottleReason,
    ThrottleScope,
)
from asyncinvoke.local import LocalLambda
from asyncinvoke.testing import FakeLambda
from asyncinvoke.typing import Failed, Succeeded


async def payloads() -> AsyncIterator[dict[str, int]]:
    yield {"n": 1}


async def invoke() -> None:
    async with Invoker(limit=FixedLimit(10), retry=RetryPolicy.batch()) as invoker:
        assert_type(invoker, Invoker)
        response = await invoker.invoke("f", {"n": 1}, invocation_type="Event", log_type="Tail")
        assert_type(response, Response)
        assert_type(response.payload, bytes)
        assert_type(response.attempts, tuple[Attempt, ...])
        assert_type(response.log_result, str | None)
        function = invoker.function("f", qualifier="live", timeout=3)
        assert_type(function, Function)
        assert_type(await function({"n": 1}, idempotent=True), Response)
        async with function.map([b"{}", {"n": 1}], concurrency=3) as run:
            assert_type(run, MapRun[Any])
        async with function.stream({"n": 1}, timeout=3) as stream:
            assert_type(stream, ResponseStream)
            async for chunk in stream:
                assert_type(chunk, bytes)
            assert_type(stream.response, Response | None)
        async with invoker.map("f", payloads(), ordered=True, key=str) as run:
            async for outcome in run:
                assert_type(outcome, Succeeded[Any] | Failed[Any])
                assert_type(outcome.unwrap(), Response[Any])
        async with invoker.map("f", [Request(payload=1, idempotent=True)]) as run:
            run.stop()


async def invoke_with_codecs(invoker: Invoker) -> None:
    lengths = invoker.function("f", encode=str.encode, decode=len)
    assert_type(lengths, Function[str, int])
    async with lengths.map(["a", Request(payload="b")], key=str) as run:
        assert_type(run, MapRun[int])
        async for outcome in run:
            assert_type(outcome, Succeeded[int] | Failed[int])
            assert_type(outcome.response, Response[int] | None)
            assert_type(outcome.unwrap().json(), int)
            untyped(outcome)
    async with lengths.map([1]) as _:  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
        pass


def untyped(outcome: Outcome) -> None:
    assert_type(outcome.unwrap(), Response[Any])


def handle(error: InvocationError) -> None:
    assert_type(error.delivery, Delivery)
    assert_type(error.retry_after, float | None)
    if isinstance(error, ThrottledError):
        assert_type(error.reason, ThrottleReason)
        assert_type(error.scope, ThrottleScope)
    if isinstance(error, FunctionError):
        assert_type(error.error_type, str | None)
        assert_type(error.stack_trace, tuple[str, ...])


def compose() -> RetryPolicy:
    policy = RetryPolicy(
        throttled=Backoff(
            wait=wait_exponential(max=10) + wait_random(0, 1),
            stop=stop_after_attempt(3) | stop_after_delay(30),
        ),
        service=RetryPolicy.batch().service,
    )
    assert_type(policy.service, Backoff | None)
    assert_type(RetryPolicy.standard(), RetryPolicy)
    return policy


async def serve(local: LocalLambda, fake: FakeLambda) -> None:
    local.function("f", lambda event, context: event["key"])
    fake.function("f", lambda event, context: event["key"])
    fake.function("f", len)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
