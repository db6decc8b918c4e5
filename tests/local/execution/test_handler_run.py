"""One run of a handler without an endpoint, on both event loops, as in the fake."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from asyncinvoke.local.execution.calling import InTask
from asyncinvoke.local.execution.handler_run import HandlerRun
from asyncinvoke.local.execution.invocation import Invocation
from asyncinvoke.local.functions import configuration

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run_of(handler: Any, event: Any = None, *, tail: bool = False) -> HandlerRun:
    config = configuration.check(
        name="f",
        handler=handler,
        region_name="us-east-1",
        account_id="123456789012",
    )
    invocation = Invocation(
        request_id="some-id",
        function_name="f",
        version="$LATEST",
        arn=config.arn,
        is_qualified=False,
        payload=b"",
        event=event,
        trace_id="",
        client_context=None,
        tenant_id=None,
        tail=tail,
    )
    return HandlerRun(handler, invocation, config, calls=InTask(), log_stream_name="")


async def pieces_of(run: HandlerRun) -> list[bytes]:
    return [piece async for piece in run.pieces()]


async def later(event: Any, context: Any) -> Any:
    await anyio.sleep(0)
    return event


def at_once(event: Any, context: Any) -> Any:
    return event


@pytest.mark.parametrize("handler", [later, at_once])
async def test_what_a_handler_returns_is_the_result_and_no_piece(handler: Any) -> None:
    run = run_of(handler, {"n": 1})
    assert await pieces_of(run) == []
    assert (run.result().payload, run.result().function_error) == (b'{"n": 1}', None)


async def words(event: Any, context: Any) -> AsyncIterator[str | bytes]:
    yield "one"
    yield b"two"


def words_at_once(event: Any, context: Any) -> Iterator[str | bytes]:
    yield "one"
    yield b"two"


@pytest.mark.parametrize("handler", [words, words_at_once])
async def test_what_a_handler_yields_comes_piece_by_piece_or_joined(handler: Any) -> None:
    run = run_of(handler)
    assert await pieces_of(run) == [b"one", b"two"]
    assert run.result().payload == b""
    run = run_of(handler)
    await run.whole()
    assert run.result().payload == b"onetwo"


async def test_a_handler_that_fails_after_a_piece_has_the_error_as_its_result() -> None:
    async def fail(event: Any, context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        raise LookupError("no such thing")

    run = run_of(fail, tail=True)
    await run.whole()
    result = run.result()
    assert run.has_failed
    body = json.loads(result.payload)
    assert (body["errorType"], body["errorMessage"]) == ("LookupError", "no such thing")
    # The trace has no frames of the endpoint.
    assert [frame.split(", ")[0] for frame in body["stackTrace"]] == [f'  File "{__file__}"']
    assert result.log is not None
    assert b"[ERROR] LookupError: no such thing" in result.log


async def test_a_run_that_is_left_early_lets_its_handler_clean_up() -> None:
    ended = []

    async def endless(event: Any, context: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"more"
        finally:
            await anyio.sleep(0)
            ended.append(True)

    run = run_of(endless)
    async with aclosing(run.pieces()) as pieces:
        assert await anext(pieces) == b"more"
    assert ended == [True]


async def test_a_cancellation_from_outside_is_not_the_handlers_result() -> None:
    async def hang(event: Any, context: Any) -> None:
        await anyio.sleep_forever()

    run = run_of(hang)
    with anyio.move_on_after(0.01) as scope:
        await run.whole()
    assert scope.cancelled_caught
    assert not run.has_failed
    run.time_out()
    assert json.loads(run.result().payload)["errorType"] == "Sandbox.Timedout"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_the_handler_raises_itself_is_its_result() -> None:
    async def cancel(event: Any, context: Any) -> None:
        raise asyncio.CancelledError

    run = run_of(cancel)
    await run.whole()
    assert json.loads(run.result().payload)["errorType"] == "CancelledError"
