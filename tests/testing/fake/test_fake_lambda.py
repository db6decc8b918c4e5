"""The fake as users see it: its arguments, its counts, and what it does not import."""

import subprocess
import sys
from typing import Any

import pytest

from asyncinvoke import (
    ConfigurationError,
    FixedLimit,
    InvalidRequestError,
    Invoker,
    RejectedError,
    trace_header,
)
from asyncinvoke.local import throttle
from asyncinvoke.testing import FakeLambda, InstantClock


def double(event: Any, context: Any) -> Any:
    return event * 2


@pytest.mark.anyio
async def test_a_map_goes_through_the_engine_and_loses_nothing() -> None:
    fake = FakeLambda({"double": double})
    fault = fake.fault(throttle(), probability=0.3, seed=1)
    async with (
        Invoker(transport=fake, limit=FixedLimit(10), clock=InstantClock()) as invoker,
        invoker.map("double", range(200), ordered=True) as run,
    ):
        answers = [outcome.unwrap().json() async for outcome in run]
    assert answers == [number * 2 for number in range(200)]
    assert fault.played > 0
    counted = fake.statistics()
    assert counted.invocations == 200 + fault.played
    assert counted.functions["double"].executions == 200
    assert counted.in_flight == 0


@pytest.mark.anyio
async def test_requests_show_what_the_code_asked_for() -> None:
    fake = FakeLambda()
    fake.function("double", double)
    async with Invoker(transport=fake) as invoker:
        await invoker.invoke(
            "double:live", 2, client_context={"custom": {"user": "me"}}, tenant_id="blue"
        )
        token = trace_header.set("Root=1-mine")
        async with invoker.stream("double", 3) as stream:
            assert [chunk async for chunk in stream] == [b"6"]
        trace_header.reset(token)
    one, other = fake.requests
    assert (one.trace_id, other.trace_id) == (None, "Root=1-mine")
    assert (one.function_name, one.qualifier, one.json(), one.streams) == (
        "double",
        "live",
        2,
        False,
    )
    assert (one.client_context, one.tenant_id) == ('{"custom":{"user":"me"}}', "blue")
    assert (other.json(), other.streams) == (3, True)


@pytest.mark.anyio
async def test_invalid_requests_never_arrive_and_unregistered_functions_are_not_found() -> None:
    fake = FakeLambda()
    async with Invoker(transport=fake) as invoker:
        with pytest.raises(InvalidRequestError):
            await invoker.invoke("no name")
        assert fake.requests == ()
        with pytest.raises(RejectedError, match="ResourceNotFoundException"):
            await invoker.invoke("nobody")
    assert fake.statistics().invocations == 1


@pytest.mark.anyio
async def test_an_event_has_run_before_the_answer_and_a_dry_run_never_does() -> None:
    seen = []
    fake = FakeLambda({"note": lambda event, context: seen.append(event)})
    async with Invoker(transport=fake) as invoker:
        assert (await invoker.send_event("note", 1)).status_code == 202
        assert seen == [1]
        assert (await invoker.dry_run("note", 2)).status_code == 204
    assert seen == [1]


@pytest.mark.parametrize(
    "option",
    [
        {"client": object()},
        {"session": object()},
        {"region_name": "eu-west-1"},
        {"endpoint_url": "http://127.0.0.1:9"},
        {"config": object()},
    ],
    ids=lambda option: next(iter(option)),
)
def test_what_only_a_client_needs_is_refused_beside_a_transport(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(option))} has no effect"):
        Invoker(transport=FakeLambda(), **option)


def test_an_object_that_is_not_a_transport_is_refused_by_its_type() -> None:
    with pytest.raises(ConfigurationError, match="an object with `send` and `open`, not dict"):
        Invoker(transport={"resize": double})  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_a_transport_can_be_given_again_once_its_invoker_is_closed() -> None:
    fake = FakeLambda({"double": double})
    invoker = Invoker(transport=fake)
    for _ in range(2):
        async with invoker:
            await invoker.invoke("double", 1)
    assert len(fake.requests) == 2


def test_it_needs_neither_an_aws_library_nor_settings() -> None:
    code = """
import sys, anyio
from asyncinvoke import Invoker
from asyncinvoke.testing import FakeLambda

async def main():
    async with Invoker(transport=FakeLambda({"f": lambda event, context: event})) as invoker:
        assert (await invoker.invoke("f", 1)).json() == 1

anyio.run(main)
print([name for name in ("aiobotocore", "botocore") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
