"""For many functions aiobotocore builds two requests, and each call is sent as it would send it."""

import contextlib
import datetime as dt
from typing import Any

import anyio
import pytest
from botocore.auth import _host_from_url
from hypothesis import example, given, settings

from asyncinvoke._model.delivery import Progress
from asyncinvoke._request.parameters import InvokeParameters, checked
from asyncinvoke._request.target import Target
from asyncinvoke._transport import patterns, sdk_request
from asyncinvoke._transport.direct import DirectTransport
from asyncinvoke._transport.sdk_request import INVOKE, STREAM
from tests.transport.test_same_bytes import (
    PER_CALL,
    PLACES,
    Recorder,
    at,
    check_head,
    envelopes,
    frozen,
    of_a_stream,
    open_client,
    reference,
    targets,
)
from tests.transport.test_wrapped_calls import on_the_class

MOMENT = dt.datetime(2026, 5, 17)


@contextlib.asynccontextmanager
async def opened(place: str = "plain") -> Any:
    async with open_client(PLACES[place]) as client:
        transport = DirectTransport(client)
        recorder = Recorder()
        transport._wires = recorder  # type: ignore[assignment]
        yield client, transport, recorder


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions for which aiobotocore has built a request."""
    names: list[str] = []
    make = sdk_request.capture_request

    async def counted(client: Any, operation: str, arguments: Any, *rest: Any) -> Any:
        names.append(arguments["FunctionName"])
        return await make(client, operation, arguments, *rest)

    monkeypatch.setattr(sdk_request, "capture_request", counted)
    return names


def in_partition(text: str, qualifier: str | None = None) -> Target:
    """Return a target whose ARN contains a text, in its partition, which may have any length."""
    return Target.parse(f"arn:aws{text}:lambda:eu-west-1:123456789012:function:f", qualifier)


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=8)
@given(envelope=envelopes, target=targets)
@example(envelope=checked("f"), target=Target(name="."))
@example(envelope=checked("f"), target=Target(name="..", qualifier="$LATEST"))
@example(envelope=checked("f"), target=Target(name="..."))
@example(envelope=checked("f"), target=Target(name="function", qualifier="live"))
@example(envelope=checked("f"), target=Target(name="function-" * 7, qualifier="function-" * 14))
@example(envelope=checked("f"), target=Target(name="qualifier-" * 6, qualifier="qualifier-" * 12))
@example(envelope=checked("f"), target=in_partition(patterns._QUALIFIER))
@example(envelope=checked("f"), target=in_partition(patterns._QUALIFIER, "function-" * 14))
@example(envelope=checked("f"), target=in_partition(patterns._NAME, "live"))
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_what_a_pattern_makes_for_any_function_is_what_aiobotocore_would_send(
    place: str, streams: bool, envelope: InvokeParameters, target: Target
) -> None:
    async def compare() -> None:
        async with opened(place) as (client, transport, recorder):
            operation = STREAM if streams else INVOKE
            send = transport.open if streams else transport.send
            for name in ("first", "second"):
                warming = Target(name=name, qualifier=target.qualifier and "warm")
                with frozen(MOMENT):
                    await send(
                        (of_a_stream if streams else at)(envelope, warming), b"1", Progress()
                    )
            assert list(transport._patterns._known.values()) != [None]
            asked = (of_a_stream if streams else at)(envelope, target)
            with frozen(MOMENT):
                expected = await reference(client, operation, asked, b"1")
                await send(asked, b"1", Progress())
            recorder.headers.pop(PER_CALL)
            expected[2].pop(PER_CALL)
            assert (recorder.method, recorder.url) == expected[:2]
            assert recorder.headers == expected[2]
            check_head(recorder, expected[2], _host_from_url(recorder.url))

    anyio.run(compare)


def test_an_endpoint_whose_path_has_a_made_up_name_in_it_gets_no_pattern(
    built: list[str],
) -> None:
    place = {"region_name": "eu-west-1", "endpoint_url": f"https://proxy.example/{patterns._NAME}"}

    async def call_all() -> None:
        async with open_client(place) as client:
            transport = DirectTransport(client)
            recorder = Recorder()
            transport._wires = recorder  # type: ignore[assignment]
            for name in "abc":
                await transport.send(checked(name), b"1", Progress())
                assert recorder.url.endswith(
                    f"/{patterns._NAME}/2015-03-31/functions/{name}/invocations"
                )

    anyio.run(call_all)
    assert [name for name in built if len(name) == 1] == ["a", "b", "c"]


def test_however_many_functions_and_qualifiers_are_called_aiobotocore_builds_four_requests(
    built: list[str],
) -> None:
    async def call_all() -> None:
        async with opened() as (_, transport, recorder):
            for number in range(50):
                await transport.send(checked(f"f{number}"), b"1", Progress())
                assert f"/f{number}/" in recorder.url
            assert len(built) == 4
            for number in range(50):
                await transport.send(checked("f", qualifier=f"v{number}"), b"1", Progress())
                assert recorder.url.endswith(f"/f/invocations?Qualifier=v{number}")
            assert len(built) == 8

    anyio.run(call_all)


def test_calls_of_one_function_do_not_create_a_pattern(built: list[str]) -> None:
    async def call() -> None:
        async with opened() as (_, transport, _):
            for tenant_id in ("a", "b"):
                await transport.send(checked("f", tenant_id=tenant_id), b"1", Progress())

    anyio.run(call)
    assert built == ["f"]


def test_a_hundred_functions_that_are_called_at_once_are_each_sent_their_own_request(
    built: list[str],
) -> None:
    urls: list[str] = []

    class Recorders(Recorder):
        async def exchange(self, request: Any, progress: Progress) -> Any:
            urls.append(request.url)
            await anyio.lowlevel.checkpoint()
            return await super().exchange(request, progress)

    async def call_all() -> None:
        async with opened() as (_, transport, _), anyio.create_task_group() as tasks:
            transport._wires = Recorders()
            for number in range(300):
                parameters = checked(f"f{number % 100}", qualifier=f"q{number // 100}")
                tasks.start_soon(transport.send, parameters, b"1", Progress())

    anyio.run(call_all)
    host = "https://lambda.us-east-1.amazonaws.com/2015-03-31/functions"
    assert sorted(urls) == sorted(
        f"{host}/f{number % 100}/invocations?Qualifier=q{number // 100}" for number in range(300)
    )
    assert len(built) < 10


def test_where_functions_differ_in_more_than_their_names_each_is_built_by_itself(
    built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spelled = sdk_request.arguments_of

    def by_name(operation: str, parameters: InvokeParameters, payload: bytes) -> dict[str, Any]:
        arguments = spelled(operation, parameters, payload)
        tails = "z" in arguments["FunctionName"]
        return arguments | ({"LogType": "Tail"} if tails else {})

    monkeypatch.setattr(sdk_request, "arguments_of", by_name)

    async def call_all() -> None:
        async with opened() as (_, transport, recorder):
            for name in ("a", "b", "c", "z", "d"):
                await transport.send(checked(name), b"1", Progress())
                assert ("X-Amz-Log-Type" in recorder.headers) is (name == "z")

    anyio.run(call_all)
    assert [name for name in built if len(name) == 1] == ["a", "b", "c", "z", "d"]
    assert len(built) == 7  # it was attempted once


def test_a_pattern_made_while_a_handler_listened_is_discarded_and_made_again(
    built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody = contextlib.ExitStack()
    make = patterns.make_pattern

    async def slowly(client: Any, *rest: Any) -> Any:
        monkeypatch.setattr(patterns, "make_pattern", make)
        somebody.enter_context(on_the_class(client))
        return await make(client, *rest)

    monkeypatch.setattr(patterns, "make_pattern", slowly)

    async def call_all() -> None:
        async with opened() as (_, transport, _):
            await transport.send(checked("a"), b"1", Progress())
            with somebody:
                filled = await transport._fill(INVOKE, checked("b"), b"1", Progress())
                assert filled is None
            assert built == ["a", "b", *built[2:4]]
            for name in ("b", "c", "d", "e"):
                await transport.send(checked(name), b"1", Progress())

    anyio.run(call_all)
    assert [name for name in built if len(name) == 1] == ["a", "b", "b"]
    assert len(built) == 7


def test_a_call_cancelled_while_a_pattern_is_made_leaves_it_to_the_next(
    built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = patterns.make_pattern

    async def endlessly(*_: Any) -> Any:
        monkeypatch.setattr(patterns, "make_pattern", make)
        await anyio.sleep_forever()

    monkeypatch.setattr(patterns, "make_pattern", endlessly)

    async def call_all() -> None:
        async with opened() as (_, transport, _):
            await transport.send(checked("a"), b"1", Progress())
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(transport.send, checked("b"), b"1", Progress())
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
            for name in ("b", "c", "d"):
                await transport.send(checked(name), b"1", Progress())

    anyio.run(call_all)
    assert [name for name in built if len(name) == 1] == ["a", "b", "b"]
