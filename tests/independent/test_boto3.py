"""boto3 against the local endpoint: tests that also look at what the function received and did.

`matrix.py` has the tests of how boto3 reads each kind of answer.
"""

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from asyncinvoke.local import LocalLambda

pytestmark = pytest.mark.anyio

REGION = "us-east-1"
ACCOUNT = "123456789012"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:echo"
WAIT_SECONDS = 30.0


@pytest.fixture
async def local() -> AsyncIterator[LocalLambda]:
    """A local endpoint with a concurrency of one, and a function that returns its event."""
    async with LocalLambda(account_concurrency=1, region_name=REGION, account_id=ACCOUNT) as local:
        local.function("echo", echo)
        yield local


@pytest.fixture
def client(local: LocalLambda) -> Iterator[Any]:
    """A boto3 client that makes one attempt only."""
    with contextlib.closing(connect(local, attempts=1)) as client:
        yield client


async def test_a_success_has_the_payload_the_version_and_the_request_id(
    local: LocalLambda, client: Any
) -> None:
    async def handler(event: Any, context: Any) -> Any:
        return {"event": event, "request_id": context.aws_request_id}

    local.function("tell", handler)

    answer = await invoke(client, "tell", {"name": "Zoë"})

    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert "LogResult" not in answer
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert json.loads(answer["Payload"]) == {"event": {"name": "Zoë"}, "request_id": request_id}


async def test_an_event_is_accepted_at_once_and_runs_later(local: LocalLambda, client: Any) -> None:
    release, ended = anyio.Event(), anyio.Event()

    async def handler(event: Any, context: Any) -> None:
        await release.wait()
        ended.set()

    local.function("later", handler)

    answer = await invoke(client, "later", {}, InvocationType="Event")
    assert not ended.is_set()
    release.set()
    with anyio.fail_after(WAIT_SECONDS):
        await ended.wait()

    assert answer["StatusCode"] == 202
    assert answer["Payload"] == b""
    assert "ExecutedVersion" not in answer


async def test_a_dry_run_does_not_run(local: LocalLambda, client: Any) -> None:
    events = []

    async def handler(event: Any, context: Any) -> None:
        events.append(event)

    local.function("count", handler)

    answer = await invoke(client, "count", "dry", InvocationType="DryRun")
    await invoke(client, "count", "real")

    assert answer["StatusCode"] == 204
    assert answer["Payload"] == b""
    assert events == ["real"]


async def test_the_log_tail_is_that_of_this_request(client: Any) -> None:
    answer = await invoke(client, "echo", {}, LogType="Tail")

    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert lines[0] == f"START RequestId: {request_id} Version: $LATEST"
    assert f"END RequestId: {request_id}" in lines
    assert any(line.startswith(f"REPORT RequestId: {request_id}\tDuration: ") for line in lines)


async def test_aws_own_runtime_answers_and_fails_in_the_same_form(
    local: LocalLambda, client: Any
) -> None:
    here = Path(__file__).parent
    local.function("echo-process", "lambda_functions:echo", directory=here, timeout=30)
    local.function("fail-process", "lambda_functions:fail", directory=here, timeout=30)

    answer = await invoke(client, "echo-process", "hello", LogType="Tail")
    failure = await invoke(client, "fail-process", "cat")

    assert json.loads(answer["Payload"]) == "hello"
    assert "echo saw hello" in base64.b64decode(answer["LogResult"]).decode()
    assert_python_error(failure, "ValueError", "cannot use cat")


async def test_a_full_account_is_a_typed_throttle(local: LocalLambda, client: Any) -> None:
    async with held(local, client, "hold"):
        with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
            await invoke(client, "echo", {})

    assert_throttle(caught.value, "ConcurrentInvocationLimitExceeded")
    assert json.loads((await invoke(client, "echo", "free again"))["Payload"]) == "free again"


async def test_a_full_reserve_is_a_typed_throttle(local: LocalLambda, client: Any) -> None:
    local.account_concurrency = 2
    async with held(local, client, "narrow", reserved_concurrency=1):
        with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
            await invoke(client, "narrow", {})
        other = await invoke(client, "echo", "still served")

    assert_throttle(caught.value, "ReservedFunctionConcurrentInvocationLimitExceeded")
    assert json.loads(other["Payload"]) == "still served"


async def test_the_sdk_retries_a_throttle_and_the_endpoint_counts_each_try(
    local: LocalLambda,
) -> None:
    local.function("closed", echo, reserved_concurrency=0)
    with (
        contextlib.closing(connect(local, attempts=2)) as client,
        pytest.raises(client.exceptions.TooManyRequestsException) as caught,
    ):
        await invoke(client, "closed", {})

    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 1
    statistics = local.statistics()
    assert statistics.invocations == 2
    assert dict(statistics.throttles) == {"ReservedFunctionConcurrentInvocationLimitExceeded": 2}


@pytest.mark.parametrize(
    ("invocation_type", "limit"), [("RequestResponse", 6_291_456), ("Event", 1_048_576)]
)
async def test_a_payload_over_the_limit_is_refused_and_one_at_the_limit_is_not(
    client: Any, invocation_type: str, limit: int
) -> None:
    at_limit = b'"' + b"x" * (limit - 2) + b'"'

    answer = await call(
        client, FunctionName="echo", Payload=at_limit, InvocationType=invocation_type
    )
    with pytest.raises(ClientError) as caught:
        await call(
            client, FunctionName="echo", Payload=at_limit + b" ", InvocationType=invocation_type
        )

    assert answer["StatusCode"] in {200, 202}
    assert caught.value.response["Error"]["Code"] == "RequestEntityTooLargeException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert str(limit) in caught.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    "name",
    [
        "echo",
        "echo:$LATEST",
        ARN,
        f"{ARN}:$LATEST",
        f"{ACCOUNT}:function:echo",
        f"{ACCOUNT}:function:echo:$LATEST",
    ],
)
async def test_each_form_of_a_function_name_is_understood(client: Any, name: str) -> None:
    answer = await invoke(client, name, "hello")

    assert json.loads(answer["Payload"]) == "hello"


async def echo(event: Any, context: Any) -> Any:
    """Answer with the event."""
    return event


def connect(local: LocalLambda, *, attempts: int) -> Any:
    """Return a boto3 client with a maximum number of attempts."""
    config = Config(retries={"total_max_attempts": attempts})
    return boto3.client("lambda", REGION, endpoint_url=local.url, config=config)


async def call(client: Any, **arguments: Any) -> dict[str, Any]:
    """Invoke in a worker thread, because boto3 blocks; read the payload of the answer."""

    def blocking() -> dict[str, Any]:
        answer: dict[str, Any] = client.invoke(**arguments)
        with contextlib.closing(answer["Payload"]) as body:
            return answer | {"Payload": body.read()}

    return await anyio.to_thread.run_sync(blocking)


async def invoke(client: Any, name: str, event: Any, **options: Any) -> dict[str, Any]:
    """Invoke with an event, sent as JSON."""
    return await call(client, FunctionName=name, Payload=json.dumps(event).encode(), **options)


@contextlib.asynccontextmanager
async def held(local: LocalLambda, client: Any, name: str, **options: Any) -> AsyncIterator[None]:
    """Keep one execution of a new function in flight during the block."""
    started, release = anyio.Event(), anyio.Event()

    async def hold(event: Any, context: Any) -> None:
        started.set()
        await release.wait()

    local.function(name, hold, timeout=WAIT_SECONDS, **options)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(invoke, client, name, {}))
        try:
            with anyio.fail_after(WAIT_SECONDS):
                await started.wait()
            yield
        finally:
            release.set()


def assert_throttle(error: ClientError, reason: str) -> None:
    """Assert the recorded answer to an invocation over a concurrency limit."""
    response: dict[str, Any] = {**error.response}
    assert response["Reason"] == reason
    assert response["Type"] == "User"
    assert response["Error"]["Message"] == "Rate Exceeded."
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert "retry-after" not in response["ResponseMetadata"]["HTTPHeaders"]


def assert_python_error(answer: dict[str, Any], error_type: str, message: str) -> None:
    """Assert the recorded form of an exception in AWS's Python runtime."""
    body = json.loads(answer["Payload"])
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    assert set(body) == {"errorMessage", "errorType", "requestId", "stackTrace"}
    assert body["errorType"] == error_type
    assert body["errorMessage"] == message
    assert body["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert any("raise " in line for line in body["stackTrace"])
