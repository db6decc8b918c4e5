"""The invoker against MiniStack, a Lambda server that shares no code with the local endpoint."""

import contextlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import boto3
import pytest
from botocore.config import Config

import asyncinvoke
from asyncinvoke import RetryPolicy, ThrottleReason, ThrottleScope

from . import emulator

pytestmark = pytest.mark.anyio

REGION = "us-east-1"
FUNCTIONS = Path(__file__).with_name("lambda_functions.py")
ACCOUNT_CONCURRENCY = 5
RESERVED_CONCURRENCY = 1
WAIT_SECONDS = 30.0


@pytest.fixture(scope="module")
def ministack(ministack_command: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MiniStack that has the functions of `lambda_functions.py`; its endpoint URL."""
    settings = {"LAMBDA_ACCOUNT_CONCURRENCY": str(ACCOUNT_CONCURRENCY)}
    with emulator.running(ministack_command, tmp_path_factory.mktemp("ministack"), settings) as url:
        _create_functions(url)
        yield url


@pytest.fixture
def sdk(ministack: str) -> Iterator[Any]:
    """A boto3 client for the same server, which makes one attempt only."""
    once = Config(retries={"total_max_attempts": 1})
    with contextlib.closing(
        boto3.client("lambda", REGION, endpoint_url=ministack, config=once)
    ) as client:
        yield client


@pytest.fixture
async def invoker(ministack: str) -> AsyncIterator[asyncinvoke.Invoker]:
    """An invoker that makes one attempt only."""
    async with asyncinvoke.Invoker(
        region_name=REGION, endpoint_url=ministack, retry=RetryPolicy.never()
    ) as invoker:
        yield invoker


async def test_a_success_reads_as_the_sdk_reads_it(invoker: asyncinvoke.Invoker, sdk: Any) -> None:
    payload = {"name": "Zoë", "numbers": [1, 2.5, None]}

    response = await invoker.invoke("echo", payload)
    expected = sdk.invoke(FunctionName="echo", Payload=json.dumps(payload))

    assert response.json() == payload
    assert response.payload == expected["Payload"].read()
    assert response.status_code == expected["StatusCode"] == 200
    assert response.executed_version == expected["ExecutedVersion"] == "$LATEST"
    assert response.function_error is None
    assert response.request_id
    assert len(response.attempts) == 1


async def test_a_function_error_reads_as_the_sdk_reads_it(
    invoker: asyncinvoke.Invoker, sdk: Any
) -> None:
    with pytest.raises(asyncinvoke.FunctionError) as caught:
        await invoker.invoke("fail", 7)
    expected = sdk.invoke(FunctionName="fail", Payload="7")

    error = caught.value
    body = json.loads(expected["Payload"].read())
    assert error.function_error == expected["FunctionError"] == "Unhandled"
    assert error.error_message == body["errorMessage"] == "cannot use 7"
    assert error.error_type == body["errorType"]
    assert error.response.json() == body


async def test_an_unknown_function_is_rejected(invoker: asyncinvoke.Invoker) -> None:
    with pytest.raises(asyncinvoke.RejectedError) as caught:
        await invoker.invoke("nobody", {})

    assert caught.value.status_code == 404
    assert caught.value.code == "ResourceNotFoundException"


async def test_a_full_account_is_a_throttle_of_the_account(
    invoker: asyncinvoke.Invoker, sdk: Any, ministack: str, tmp_path: Path
) -> None:
    async with held(ministack, "hold", ACCOUNT_CONCURRENCY, tmp_path):
        with pytest.raises(asyncinvoke.ThrottledError) as caught:
            await invoker.invoke("echo", {})
        with pytest.raises(sdk.exceptions.TooManyRequestsException) as expected:
            await anyio.to_thread.run_sync(partial(sdk.invoke, FunctionName="echo"))

    error = caught.value
    assert error.reason is ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED
    assert error.reason == expected.value.response["Reason"]
    assert error.scope is ThrottleScope.ACCOUNT
    assert error.status_code == 429
    assert error.retry_after == 1.0


async def test_a_full_reserve_is_a_throttle_of_that_function_alone(
    invoker: asyncinvoke.Invoker, ministack: str, tmp_path: Path
) -> None:
    async with held(ministack, "narrow", RESERVED_CONCURRENCY, tmp_path):
        with pytest.raises(asyncinvoke.ThrottledError) as caught:
            await invoker.invoke("narrow", {})
        other = await invoker.invoke("echo", "still served")

    error = caught.value
    assert error.reason is ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED
    assert error.scope is ThrottleScope.FUNCTION
    assert other.json() == "still served"


async def test_a_reserve_of_zero_is_a_throttle_of_that_function(
    invoker: asyncinvoke.Invoker,
) -> None:
    with pytest.raises(asyncinvoke.ThrottledError) as caught:
        await invoker.invoke("closed", {})

    assert (
        caught.value.reason is ThrottleReason.RESERVED_FUNCTION_CONCURRENT_INVOCATION_LIMIT_EXCEEDED
    )
    assert caught.value.scope is ThrottleScope.FUNCTION


async def test_an_event_is_accepted_and_runs_later(
    invoker: asyncinvoke.Invoker, tmp_path: Path
) -> None:
    response = await invoker.send_event("record", {"folder": str(tmp_path), "item": 1})

    assert response.status_code == 202
    assert response.payload == b""
    await _until_files(tmp_path, 1)


async def test_a_dry_run_does_not_run(invoker: asyncinvoke.Invoker, tmp_path: Path) -> None:
    event = {"folder": str(tmp_path), "item": "dry"}

    response = await invoker.invoke("record", event, invocation_type="DryRun")
    await invoker.invoke("record", {**event, "item": "real"})

    assert response.status_code == 204
    assert _items(tmp_path) == ["real"]
    assert (await invoker.dry_run("record")).status_code == 204


async def test_the_log_tail_is_the_text_that_the_function_printed(
    invoker: asyncinvoke.Invoker,
) -> None:
    response = await invoker.invoke("echo", "hello", log_type="Tail")

    assert response.log_result is not None
    assert "echo saw hello" in response.log_result
    assert (await invoker.invoke("echo", "hello")).log_result is None


async def test_a_fan_out_over_the_limit_loses_nothing_and_repeats_nothing(
    invoker: asyncinvoke.Invoker, ministack: str, tmp_path: Path
) -> None:
    count = 60
    ran = tmp_path / "ran"
    ran.mkdir()
    payloads = [{"folder": str(ran), "item": item} for item in range(count)]
    outcomes: list[asyncinvoke.Outcome] = []

    async with (
        held(ministack, "hold", ACCOUNT_CONCURRENCY, tmp_path) as release,
        invoker.map("record", payloads, concurrency=20, retry=RetryPolicy.batch()) as run,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_release_after_a_throttle, invoker, release)
        async for outcome in run:
            outcomes.append(outcome)

    assert all(outcome.ok for outcome in outcomes)
    assert sorted(outcome.index for outcome in outcomes) == list(range(count))
    assert {outcome.index: outcome.unwrap().json() for outcome in outcomes} == {
        item: item for item in range(count)
    }
    assert sorted(_items(ran)) == list(range(count))
    reasons = Counter(attempt.reason for outcome in outcomes for attempt in outcome.attempts)
    assert reasons[ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED] > 0
    assert reasons[None] == count


@contextlib.asynccontextmanager
async def held(url: str, name: str, places: int, folder: Path) -> AsyncIterator[Path]:
    """Fill `places` executions of a function until the block ends or the given file exists."""
    started = folder / f"{name}-started"
    started.mkdir()
    release = folder / f"{name}-release"
    # With the SDK's own retries, in case a place of the test before is not free yet.
    with contextlib.closing(boto3.client("lambda", REGION, endpoint_url=url)) as client:
        async with anyio.create_task_group() as tasks:
            for place in range(places):
                event = {"started": str(started / str(place)), "release": str(release)}
                call = partial(client.invoke, FunctionName=name, Payload=json.dumps(event))
                tasks.start_soon(anyio.to_thread.run_sync, call)
            try:
                await _until_files(started, places)
                yield release
            finally:
                release.touch()


async def _until_files(folder: Path, count: int) -> None:
    with anyio.fail_after(WAIT_SECONDS):
        while len(list(folder.iterdir())) < count:
            await anyio.sleep(0.02)


async def _release_after_a_throttle(invoker: asyncinvoke.Invoker, release: Path) -> None:
    with anyio.fail_after(WAIT_SECONDS):
        while not invoker.statistics().throttles:
            await anyio.sleep(0.02)
    release.touch()


def _items(folder: Path) -> list[Any]:
    return [json.loads(path.read_text()) for path in folder.iterdir()]


def _create_functions(url: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.write(FUNCTIONS, FUNCTIONS.name)
    connect = partial(boto3.client, region_name=REGION, endpoint_url=url)
    with contextlib.closing(connect("iam")) as iam:
        role = iam.create_role(RoleName="tests", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    handlers = {"echo": "echo", "fail": "fail", "record": "record"}
    handlers |= {"hold": "hold", "narrow": "hold", "closed": "echo"}
    with contextlib.closing(connect("lambda")) as client:
        for name, handler in handlers.items():
            client.create_function(
                FunctionName=name,
                Runtime="python3.11",
                Role=role,
                Handler=f"{FUNCTIONS.stem}.{handler}",
                Code={"ZipFile": archive.getvalue()},
                Timeout=60,
            )
        for name in handlers:
            client.get_waiter("function_active_v2").wait(
                FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
            )
        for name, reserved in {"narrow": RESERVED_CONCURRENCY, "closed": 0}.items():
            client.put_function_concurrency(
                FunctionName=name, ReservedConcurrentExecutions=reserved
            )
